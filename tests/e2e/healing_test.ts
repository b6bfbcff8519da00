/**
 * Acceptance 3: whatever is broken behind the agent's back is whole again soon, and what is not knet's
 * stays as it is.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type BackendCase, BACKENDS, vxlanCase } from "../support/backend.ts";
import { flows, NETWORK } from "../support/cluster.ts";
import { blockStore } from "../support/database_lock.ts";
import { addForeigners, firewallOf, foreigners } from "../support/foreigners.ts";
import { injuriesOf, type Injury } from "../support/injuries.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { median, ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

interface Healthy {
  readonly foreigners: string;
  readonly firewall: string;
}

const healthy = new WeakMap<Lab, Healthy>();

async function setUp(lab: Lab, plain: boolean): Promise<void> {
  const args = [...lab.backend.joinArgs, "--ip-masq", ...(plain ? ["--plain-routes"] : [])];
  for (const host of lab.hosts) host.joinArgs = args;
  await addForeigners(lab.host(1));
  const before = await foreigners(lab.host(1));
  await lab.init(["--network", NETWORK, ...lab.backend.joinArgs]);
  await Promise.all(lab.hosts.map((host) => host.join()));
  await Promise.all(lab.hosts.map((host) => host.attach("c1")));
  await converged(lab.hosts, { plain });
  const firewall = await firewallOf(lab.host(1));
  assert.match(firewall, /DOCKER-USER/, "knet's rules in DOCKER-USER");
  healthy.set(lab, { foreigners: before, firewall });
}

/** Inflicts an injury and waits for traffic, then for everything; returns the milliseconds of both. */
async function heal(lab: Lab, injury: Injury, plain: boolean): Promise<[number, number]> {
  const [near, far, third] = lab.hosts.map((host) => host.containers[0]!);
  const { foreigners: before, firewall } = healthy.get(lab)!;
  await injury.inflict(lab);
  const start = performance.now();
  await flows(near!, far!.address);
  await flows(third!, near!.address);
  const traffic = performance.now() - start;
  await converged(lab.hosts, { plain });
  await until("knet's firewall and ip_forward are as before", async () => {
    assert.equal(await firewallOf(lab.host(1)), firewall);
    return true;
  });
  await flows(near!, far!.address);
  const whole = performance.now() - start;
  assert.equal(await foreigners(lab.host(1)), before, "what is not knet's");
  return [traffic, whole];
}

interface Mode {
  readonly name: string;
  readonly backend: BackendCase;
  readonly plain: boolean;
}

const MODES: readonly Mode[] = BACKENDS.flatMap((backend) => {
  const { name } = backend;
  return backend === vxlanCase
    ? [
      { name: `${name}, next-hop objects`, backend, plain: false },
      { name: `${name}, plain routes`, backend, plain: true },
    ]
    : [{ name, backend, plain: false }];
});

for (const { name: mode, backend, plain } of MODES) {
  const test = labSuite({
    hosts: 3,
    store: "sqlite",
    backend,
    // Where plain routes and a tunnel go together, host 2 is behind the router and host 3 on the link.
    links: backend.plainOnLink && backend.crossesRouters ? [1, 2, 1] : [],
    setUp: (lab) => setUp(lab, plain),
  });
  const injuries = injuriesOf(backend).filter((injury) => !plain || !injury.nexthops);
  const times: number[] = [];

  for (const injury of injuries) {
    test(`3 (${mode}): traffic flows again after ${injury.name}`, async (lab) => {
      const [traffic, whole] = await heal(lab, injury, plain);
      times.push(traffic);
      report(`3 (${mode}): ${injury.name}: traffic after ${ms(traffic)}, all after ${ms(whole)}`);
    });
  }

  test(`3 (${mode}): the agent heals as fast while the store answers nobody`, async (lab) => {
    await using _blocked = await blockStore(lab);
    const without: number[] = [];
    for (const injury of injuries.filter((one) => !one.needsStore)) {
      try {
        const [traffic] = await heal(lab, injury, plain);
        without.push(traffic);
      } catch (error) {
        throw new Error(`${injury.name}: ${(error as Error).message}`, { cause: error });
      }
    }
    report(
      `3 (${mode}): median of ${times.length} injuries until traffic flows: ${
        ms(median(times))
      }, ` +
        `worst ${ms(Math.max(...times))}; without a store: ${ms(median(without))}, ` +
        `worst ${ms(Math.max(...without))}`,
    );
  });
}
