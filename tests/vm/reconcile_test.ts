// What a full reconcile asks the kernel does not depend on how many services there are, nor on how many containers are real servers.
import assert from "node:assert/strict";
import type { Forward } from "../../core/services/service.ts";
import { LoadedHost } from "../bench/reconcile_host.ts";
import { type Asked, counting } from "../support/asked.ts";
import { ipvsTest } from "../support/ipvs.ts";
import { sleep } from "../support/wait.ts";

async function askedBy(services: number, forward: Forward): Promise<Asked> {
  // Behind direct routing, each service has ten containers of its own.
  const containers = forward === "nat" ? 0 : 10 * services;
  await using host = new LoadedHost({ containers, services, peers: 0, forward });
  // The kernel tells late of what came with the containers, and then virtual IPs are looked at: the least counts.
  const asked: Asked[] = [];
  while (asked.length < 4) {
    asked.push(counting(() => host.reconcile()));
    await sleep(400);
  }
  return asked.sort((a, b) => a.dumps - b.dumps)[0]!;
}

for (const forward of ["nat", "dr"] as const) {
  ipvsTest(
    `HostNetwork.reconcile() asks as much for twice as many services by ${forward}`,
    async () => {
      const asked = await askedBy(2, forward);
      assert.deepEqual(await askedBy(4, forward), asked);
      assert.equal(asked.sends, 0);
      assert.equal(asked.sockets, 0);
    },
  );
}
