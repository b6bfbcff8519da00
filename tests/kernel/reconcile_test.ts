// What a full reconcile asks the kernel does not depend on how many containers and peers there are: one dump for all of them, never
// one each. Absolute times are for `deno task bench:reconcile`.
import assert from "node:assert/strict";
import { type Load, LoadedHost } from "../bench/reconcile_host.ts";
import { type Asked, counting } from "../support/asked.ts";

async function askedBy(load: Partial<Load>): Promise<Asked> {
  await using host = new LoadedHost({ containers: 0, services: 0, peers: 0, ...load });
  return counting(() => host.reconcile());
}

for (const what of ["containers", "peers"] as const) {
  Deno.test(`HostNetwork.reconcile() asks as much for twice as many ${what}, and changes nothing`, async () => {
    const asked = await askedBy({ [what]: 6 });
    assert.deepEqual(await askedBy({ [what]: 12 }), asked);
    assert.ok(asked.dumps > 0 && asked.nft > 0, "nothing was counted");
    assert.equal(asked.sends, 0);
    assert.equal(asked.sockets, 0);
  });
}

Deno.test("HostNetwork.reconcile() is seen to ask more where a container lost its wire", async () => {
  await using host = new LoadedHost({ containers: 2, services: 0, peers: 0 });
  host.cutWire(1);
  const asked = counting(() => host.reconcile());
  assert.ok(asked.sends > 0 && asked.sockets > 0, "the repair was not seen");
  assert.equal(counting(() => host.reconcile()).sends, 0);
});
