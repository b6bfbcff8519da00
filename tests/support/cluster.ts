/**
 * What most end-to-end tests begin with: a cluster of agents with containers.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Container } from "./container.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { DEADLINE, sleep, until } from "./wait.ts";
import { converged } from "./walk.ts";

/** The cluster network of the tests. */
export const NETWORK = "10.244.0.0/16";

/** Initialises the store, joins all hosts and attaches `containers` containers to each. */
export async function startCluster(
  lab: Lab,
  options: { containers?: number; init?: string; hosts?: readonly Host[] } = {},
): Promise<void> {
  const hosts = options.hosts ?? lab.hosts;
  const { joinArgs } = lab.backend;
  await lab.init(`--network ${NETWORK} ${joinArgs.join(" ")} ${options.init ?? ""}`, hosts[0]);
  await Promise.all(hosts.map((host) => host.join()));
  for (let n = 1; n <= (options.containers ?? 0); n++) {
    await Promise.all(hosts.map((host) => host.attach(`c${n}`)));
  }
  await converged(hosts);
}

/** Waits until three hosts vote about the store that the hosts hold; returns their names. */
export async function threeVote(host: Host): Promise<string[]> {
  const { value } = await until("three hosts vote", async () => {
    const { store } = await host.knetJson<StatusReport>("status");
    const voters = store.copies?.filter(({ role }) => role === "voter") ?? [];
    return voters.length === 3 ? voters.map(({ name }) => name) : undefined;
  }, { deadline: 3 * DEADLINE });
  return value;
}

/** Containers of all hosts. */
export function containersOf(hosts: readonly Host[]): Container[] {
  return hosts.flatMap((host) => host.containers);
}

/** Pings from every container to every other. */
export async function assertFullMesh(containers: readonly Container[]): Promise<void> {
  for (const from of containers) {
    const others = containers.filter((to) => to !== from);
    const answers = await Promise.all(others.map((to) => from.ping(to.address, 2)));
    const silent = others.filter((_, i) => !answers[i]).map((to) => to.label);
    assert.deepEqual(silent, [], `${from.label} gets no answer from these`);
  }
}

/** Waits until a ping is answered; returns the milliseconds. */
export async function flows(from: Container, to: string): Promise<number> {
  const start = performance.now();
  // With a deadline, -c counts answers, not questions: one goes out every 10 ms until one comes back.
  const line = `ping -n -q -c 1 -i 0.01 -w ${DEADLINE / 1000} ${to}`;
  const { code } = await from.run(line, { check: false });
  assert.equal(code, 0, `${from.label} gets no answer from ${to} within ${DEADLINE} ms`);
  return performance.now() - start;
}

/** Waits until something was true for `quiet` milliseconds without a break. */
export async function stays(
  what: string,
  probe: () => Promise<boolean>,
  quiet: number,
): Promise<void> {
  const end = performance.now() + quiet;
  while (performance.now() < end) {
    assert.ok(await probe(), what);
    await sleep(50);
  }
}
