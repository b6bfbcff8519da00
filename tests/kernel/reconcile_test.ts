// What a full reconcile asks the kernel does not depend on how many containers and peers there are: one dump for all of them, never
// one each. Absolute times are for `deno task bench:reconcile`.
import assert from "node:assert/strict";
import { Nftables } from "../../ffi/libnftables.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { type Load, LoadedHost } from "../bench/reconcile_host.ts";

/** How often the kernel was asked. */
interface Asked {
  dumps: number;
  sends: number;
  /** Sockets that were opened: looking into a namespace takes one. */
  sockets: number;
  nft: number;
}

/** Counts what a function asks the kernel by netlink. */
function counting(run: () => void): Asked {
  const asked: Asked = { dumps: 0, sends: 0, sockets: 0, nft: 0 };
  const { dump, send } = NetlinkSocket.prototype;
  const { open } = NetlinkSocket;
  const nft = Nftables.prototype.run;
  NetlinkSocket.prototype.dump = function (...args) {
    asked.dumps++;
    return dump.apply(this, args);
  };
  NetlinkSocket.prototype.send = function (...args) {
    asked.sends++;
    return send.apply(this, args);
  };
  NetlinkSocket.open = (...args) => {
    asked.sockets++;
    return open.apply(NetlinkSocket, args);
  };
  Nftables.prototype.run = function (...args) {
    asked.nft++;
    return nft.apply(this, args);
  };
  try {
    run();
    return asked;
  } finally {
    Object.assign(NetlinkSocket.prototype, { dump, send });
    NetlinkSocket.open = open;
    Nftables.prototype.run = nft;
  }
}

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
