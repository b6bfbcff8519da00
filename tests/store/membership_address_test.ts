// What becomes of a host's lease when its public address changes, on both engines.
import assert from "node:assert/strict";
import { Membership } from "../../core/agent/membership.ts";
import { backendOf } from "../../core/overlay/backend/backends.ts";
import type { Store } from "../../core/store/store.ts";
import { enginesAndModel } from "../support/store_engines.ts";
import { until } from "../support/wait.ts";

/** A store of which the first renewal is followed by something else before it is answered. */
function meddled(store: Store, meddle: () => void): Store {
  let first = true;
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "renewLease") return value.bind(target);
      return async (holder: Parameters<Store["renewLease"]>[0]) => {
        const renewal = await target.renewLease(holder);
        if (first) meddle();
        first = false;
        return renewal;
      };
    },
  });
}

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`Membership tells the store of an address that changes while it tells of another (${name})`, async () => {
    await using engine = await start();
    await engine.fresh({}, async (a, b) => {
      let address = "192.168.2.1";
      const move = (to: string) => {
        address = to;
        membership.refresh({ renew: true });
      };
      const membership: Membership = new Membership({
        store: meddled(a, () => move("192.168.2.1")),
        identity: { nodeId: "n1", nodeName: "n1", bootId: "boot", agentId: "agent" },
        family: 4,
        loadConfig: async (store) => (await store.getConfig())!,
        backendOf: (config) => backendOf(config.backend),
        publicIp: () => address,
        remembered: undefined,
        events: {
          onLease: () => {},
          onAllPeers: () => {},
          onSomePeers: () => {},
          onHealth: () => {},
        },
      });
      const stop = new AbortController();
      const ended = membership.run(stop.signal);
      try {
        await membership.joined;
        move("192.168.2.9");
        await until("it has renewed twice", () => membership.renewals >= 2);
        const { leases } = await b.changesSince(0);
        assert.deepEqual(leases.map(({ publicIp }) => publicIp), ["192.168.2.1"]);
        assert.equal(membership.own?.publicIp, "192.168.2.1");
      } finally {
        stop.abort();
        await ended;
      }
    });
  });
}
