// How an agent learns of services, on both engines: whole at first, then what changed, each soon after the commit.
import assert from "node:assert/strict";
import { Membership } from "../../core/agent/membership.ts";
import type { ServiceChanges } from "../../core/agent/membership_options.ts";
import { backendOf } from "../../core/overlay/backend/backends.ts";
import { monotonicClock } from "../../core/base/clock.ts";
import {
  addService,
  removeServices,
  setTimeouts,
  takeOutDestination,
} from "../../core/services/edit.ts";
import type { Store } from "../../core/store/store.ts";
import { enginesAndModel } from "../support/store_engines.ts";

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = monotonicClock() + 30_000;
  while (!(await holds())) {
    if (monotonicClock() > deadline) throw new Error(`Not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** An agent's membership on a store, and what it hands over of services. */
async function follow(
  store: Store,
  run: (told: ServiceChanges[]) => Promise<void>,
): Promise<void> {
  const told: ServiceChanges[] = [];
  const membership = new Membership({
    store,
    identity: { nodeId: "n1", nodeName: "n1", bootId: "boot", agentId: "agent" },
    family: 4,
    loadConfig: async (store) => (await store.getConfig())!,
    backendOf: (config) => backendOf(config.backend),
    publicIp: () => "192.168.2.1",
    remembered: undefined,
    events: {
      onLease: () => {},
      onAllPeers: () => {},
      onSomePeers: () => {},
      onHealth: () => {},
      onServices: (changes) => told.push(changes),
    },
  });
  const stop = new AbortController();
  const ended = membership.run(stop.signal);
  try {
    await membership.joined;
    await run(told);
  } finally {
    stop.abort();
    await ended;
  }
}

const request = {
  vip: "10.96.0.10",
  port: 80,
  destinations: [{ address: "10.244.0.1" }, { address: "10.244.0.2" }],
};

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`Membership hands services over (${name})`, async (test) => {
    await using engine = await start();

    await test.step(`${name}: all at first, then only what changed`, () =>
      engine.fresh({}, async (a, b) => {
        await addService(b, "web", request);
        await follow(a, async (told) => {
          await until("it is told at first", () => told.length > 0);
          const [first] = told.splice(0);
          assert.equal(first!.full, true);
          assert.deepEqual(first!.services.map((one) => one.name), ["web"]);
          assert.deepEqual(first!.timeouts, { tcp: 0, tcpfin: 0, udp: 0 });

          await addService(b, "tls", { ...request, port: 443 });
          await until("it is told of another", () => told.length > 0);
          const [second] = told.splice(0);
          assert.equal(second!.full, false);
          assert.deepEqual(second!.services.map((one) => one.name), ["tls"]);
          assert.equal(second!.timeouts, undefined);

          await removeServices(b, ["web"]);
          await until("it is told of the removal", () => told.length > 0);
          assert.deepEqual(told.splice(0)[0]!.removedServices, ["web"]);

          await setTimeouts(b, { tcp: 60 });
          await until("it is told of the timeouts", () => told.length > 0);
          assert.equal(told.splice(0)[0]!.timeouts!.tcp, 60);
        });
      }));

    await test.step(`${name}: what has drained is swept out of the store`, () =>
      engine.fresh({}, async (a, b) => {
        await addService(b, "web", request);
        await follow(a, async () => {
          await takeOutDestination(b, "web", { address: "10.244.0.1" }, { timeout: 1 });
          await until("it is swept", async () => {
            const { services } = await b.listServices();
            return services[0]!.destinations.length === 1;
          });
        });
      }));
  });
}
