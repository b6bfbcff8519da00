/**
 * Messages of the kernel: what they say of their own length, and what they hold, may be anything.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeStats } from "../../ffi/genl/ipvs_stats.ts";
import { parseIpvs } from "../../ffi/genl/ipvs_proc.ts";
import { RTM } from "../../ffi/linux/rtnetlink.ts";
import { Attributes, messageView, walkMessages } from "../../ffi/netlink/message.ts";
import { decodeError } from "../../ffi/netlink/acknowledgement.ts";
import { decodeEvent } from "../../ffi/rtnl/events.ts";
import { hurtBytes, hurtText, plainTarget, refusesOnlyBy } from "./target.ts";

/** Bytes of the fixed header behind nlmsghdr: ifinfomsg 16, ifaddrmsg 8, rtmsg and ndmsg 12, nhmsg 8. */
const FIXED = [8, 12, 16];

function attribute(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((payload.length + 7) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, payload.length + 4, true);
  view.setUint16(2, type, true);
  bytes.set(payload, 4);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const leaf = fc.tuple(fc.nat(70), fc.uint8Array({ maxLength: 40 }))
  .map(([type, payload]) => attribute(type, payload));
const nested = fc.tuple(fc.nat(70), fc.array(leaf, { maxLength: 4 }))
  .map(([type, parts]) => attribute(type | 0x8000, joined(parts)));

const message = fc.record({
  type: fc.oneof(fc.constantFrom(...Object.values(RTM)), fc.nat(0xffff)),
  fixed: fc.constantFrom(...FIXED).chain((size) =>
    fc.uint8Array({ minLength: size, maxLength: size })
  ),
  attributes: fc.array(fc.oneof(leaf, nested), { maxLength: 8 }),
}).map(({ type, fixed, attributes }) => {
  const body = joined([fixed, ...attributes]);
  const bytes = new Uint8Array((16 + body.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + body.length, true);
  view.setUint16(4, type, true);
  bytes.set(body, 16);
  return bytes;
});

const datagram = fc.array(message, { minLength: 1, maxLength: 4 }).map(joined);

/** Every decoder reads what is there and nothing beyond, and no bytes are an exception. */
export const netlink = plainTarget(
  "netlink",
  "messages of links, addresses, routes, next hops, neighbours, IPVS statistics, refusals",
  3000,
  fc.property(hurtBytes(datagram), fc.nat(3), (bytes, shift) => {
    // Between other bytes, which nothing may be read of.
    const around = new Uint8Array(shift + bytes.length + 64).fill(0xa5);
    around.set(bytes, shift);
    const data = around.subarray(shift, shift + bytes.length);
    const attributes = new Attributes();
    walkMessages(data, data.length, messageView(), (view) => {
      assert.ok(view.end <= data.length && view.offset <= view.end);
      decodeEvent(view);
      decodeError(view);
      decodeStats(attributes.parse(view.data, view.view, view.offset, view.end));
    });
  }),
);

const IP_VS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A60000A:0050 rr persistent 360 FFFFFFFF
  -> 0AF40102:1F90      Masq    1      0          0
FWM  00000001 wlc
  -> 0AF40102:0000      Route   1      0          0
`;

/** /proc/net/ip_vs. */
export const ipvsProc = plainTarget(
  "ip_vs",
  "the text of /proc/net/ip_vs",
  1000,
  fc.asyncProperty(
    hurtText([IP_VS]),
    (text) => refusesOnlyBy([SyntaxError], () => parseIpvs(text)),
  ),
);
