/**
 * Counts what is asked of the kernel, for tests of how that grows.
 *
 * @module
 */
import { Nftables } from "../../ffi/libnftables.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";

/** How often the kernel was asked. */
export interface Asked {
  dumps: number;
  sends: number;
  /** Sockets that were opened: looking into a namespace takes one. */
  sockets: number;
  nft: number;
}

/** Counts what a function asks the kernel by netlink. */
export function counting(run: () => void): Asked {
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
