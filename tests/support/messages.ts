/**
 * Real netlink messages for tests of the decoders, and the reading of one as if it had just arrived.
 *
 * @module
 */
import { Batch } from "../../ffi/netlink/batch.ts";
import { type MessageView, messageView, walkMessages } from "../../ffi/netlink/message.ts";
import { encodeFdb } from "../../ffi/rtnl/fdb.ts";
import { encodeNeighbour } from "../../ffi/rtnl/neighbour.ts";
import { encodeNexthop } from "../../ffi/rtnl/nexthop.ts";
import { encodeRoute, routeOf } from "../../ffi/rtnl/route.ts";

/** RTM_NEWLINK of a VXLAN device with the nested attributes that are read. */
function linkMessage(): Uint8Array {
  const batch = new Batch();
  batch.begin(16, 2, () => "link");
  for (const byte of [0, 0, 1, 0]) batch.u8(byte);
  for (const word of [7, 0x11043, 0]) batch.u32(word);
  batch.attrString(3, "knet.1");
  batch.attrMac(1, "02:00:00:00:00:07");
  batch.attrU32(4, 1450);
  batch.attrU32(10, 3);
  batch.attrU32(5, 2);
  batch.attrU32(37, 0);
  const info = batch.beginNest(18);
  batch.attrString(1, "vxlan");
  const data = batch.beginNest(2);
  batch.attrU32(1, 1);
  batch.attrU32(3, 2);
  batch.attrAddress(4, "192.168.9.1");
  batch.attrU8(7, 0);
  batch.attrU16be(15, 8472);
  batch.endNest(data);
  batch.endNest(info);
  const families = batch.beginNest(26);
  const inet6 = batch.beginNest(10);
  batch.attrU8(8, 1);
  batch.endNest(inet6);
  batch.endNest(families);
  batch.end();
  return batch.bytes.slice();
}

function addressMessage(): Uint8Array {
  const batch = new Batch();
  batch.begin(20, 2, () => "address");
  for (const byte of [2, 24, 0x80, 0]) batch.u8(byte);
  batch.u32(7);
  batch.attrAddress(1, "10.9.0.1");
  batch.attrAddress(2, "10.9.0.1");
  batch.attrAddress(4, "10.9.0.255");
  batch.attrString(3, "knet.1");
  batch.attrU32(8, 0x80);
  batch.end();
  return batch.bytes.slice();
}

/** NLMSG_ERROR with the text of an extended acknowledgement, the request left out (NLM_F_CAPPED | NLM_F_ACK_TLVS). */
function errorMessage(): Uint8Array {
  const batch = new Batch();
  batch.begin(2, 0x300, () => "error");
  batch.u32(-101 >>> 0);
  for (const word of [40, 24 | (0x605 << 16), 9, 0]) batch.u32(word);
  batch.attrString(1, "Nexthop has invalid gateway");
  batch.end();
  return batch.bytes.slice();
}

/** RTM_NEWNEXTHOP of a group of two: NHA_GROUP is an array of struct nexthop_grp. */
function groupMessage(): Uint8Array {
  const batch = new Batch();
  batch.begin(104, 2, () => "group");
  for (const byte of [0, 0, 3, 0]) batch.u8(byte);
  batch.u32(0);
  batch.attrU32(1, 30);
  batch.attrBytes(2, new Uint8Array(new Uint32Array([1, 0, 2, 0]).buffer));
  batch.end();
  return batch.bytes.slice();
}

/** One message of every kind that is decoded. */
export function realMessages(): Uint8Array[] {
  const made = (write: (batch: Batch) => void) => {
    const batch = new Batch();
    write(batch);
    return batch.bytes.slice();
  };
  const mac = "02:00:00:00:01:01";
  const hop = { ifindex: 7, protocol: 107, onlink: true, flags: 0 };
  return [
    linkMessage(),
    addressMessage(),
    errorMessage(),
    made((b) =>
      encodeRoute(b, "add", routeOf({ dst: "10.9.1.0/24", gateway: "10.9.1.0", ifindex: 7 }))
    ),
    made((b) =>
      encodeRoute(
        b,
        "add",
        routeOf({ dst: "fd00:1::/64", nexthopId: 5, priority: 9, prefSrc: "fd00::1" }),
      )
    ),
    made((b) => encodeNexthop(b, "add", { ...hop, id: 5, family: 4, gateway: "10.9.1.0" })),
    made((b) => encodeNexthop(b, "add", { ...hop, id: 6, family: 6, gateway: "fd00::1" })),
    made((b) =>
      encodeNeighbour(b, "add", {
        family: 6,
        ifindex: 7,
        dst: "fd00::1",
        mac,
        state: 0x80,
        flags: 0,
      })
    ),
    made((b) =>
      encodeFdb(b, "add", {
        ifindex: 7,
        mac,
        dst: "192.168.9.5",
        vni: 1,
        port: 9,
        state: 0xc0,
        flags: 2,
      })
    ),
    groupMessage(),
  ];
}

/** The first message of the bytes, as a decoder is given it. */
export function firstMessage(bytes: Uint8Array): MessageView | undefined {
  let first: MessageView | undefined;
  walkMessages(bytes, bytes.length, messageView(), (message) => first ??= { ...message });
  return first;
}
