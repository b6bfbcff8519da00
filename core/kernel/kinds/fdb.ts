/**
 * Forwarding entries of a VXLAN device: where the outer packet goes. All of the device's are knet's; VXLAN drops NDA_PROTOCOL, so they
 * cannot be marked.
 *
 * @module
 */
import { NTF_SELF, NUD_NOARP, NUD_PERMANENT } from "../../../ffi/linux/neighbour.ts";
import { encodeFdb, type FdbEntry, listFdb } from "../../../ffi/rtnl/fdb.ts";
import { RTNLGRP } from "../../../ffi/linux/rtnetlink.ts";
import type { Kind } from "../kind.ts";

/** The permanent entry that sends what goes to a MAC address to a VTEP. */
export function fdbEntry(ifindex: number, mac: string, dst: string): FdbEntry {
  return { ifindex, mac, dst, state: NUD_PERMANENT | NUD_NOARP, flags: NTF_SELF };
}

/** The kind. */
export const fdb: Kind<FdbEntry> = {
  name: "fdb",
  rank: 0,
  key: (entry) => entry.mac,
  // The kernel shows port and VNI only where they are not the device's own.
  same: (wanted, present) =>
    present.dst === wanted.dst && present.ifindex === wanted.ifindex &&
    (present.state & NUD_PERMANENT) !== 0 && present.port === wanted.port &&
    present.vni === wanted.vni && present.via === wanted.via,
  encode: encodeFdb,
  list: (socket, { device }) => device === undefined ? [] : listFdb(socket, { ifindex: device }),
  ours: (entry, { device }) => entry.ifindex === device,
  groups: () => [RTNLGRP.NEIGH],
  told: (event) => event.kind === "fdb" ? event.value : undefined,
  gone: (known, told) =>
    known.dst === told.dst && known.port === told.port && known.vni === told.vni,
};
