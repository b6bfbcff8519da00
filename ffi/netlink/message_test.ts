// Whatever bytes arrive: no crash, no endless loop, no look at bytes beside the message.
import assert from "node:assert/strict";
import fc from "fast-check";
import { realMessages } from "../../tests/support/messages.ts";
import { decodeAddress } from "../rtnl/address.ts";
import { decodeEvent } from "../rtnl/events.ts";
import { decodeFdb } from "../rtnl/fdb.ts";
import { decodeLink } from "../rtnl/link.ts";
import { decodeNeighbour } from "../rtnl/neighbour.ts";
import { decodeNexthop } from "../rtnl/nexthop.ts";
import { decodeRoute } from "../rtnl/route.ts";
import { Batch, NLMSG_HDRLEN } from "./batch.ts";
import { Attributes, type MessageView, messageView, walkMessages } from "./message.ts";
import { decodeError } from "./acknowledgement.ts";

const DECODERS = {
  decodeAddress,
  decodeError,
  decodeEvent,
  decodeFdb,
  decodeLink,
  decodeNeighbour,
  decodeNexthop,
  decodeRoute,
};

/** Everything that all decoders make of these bytes, with others beside them in the buffer. */
function decodeAll(bytes: Uint8Array, beside: number): unknown[] {
  const buffer = new Uint8Array(bytes.length + 96).fill(beside);
  buffer.set(bytes);
  const found: unknown[] = [];
  walkMessages(buffer, bytes.length, messageView(), (message) => {
    assert.ok(message.offset <= message.end && message.end <= bytes.length);
    found.push([message.type, message.flags, message.seq, message.pid, message.offset]);
    for (const decode of Object.values(DECODERS)) found.push(decode(message));
    found.push(attributesOf(message));
  });
  return found;
}

function attributesOf(message: MessageView): unknown[] {
  const a = new Attributes().parse(message.data, message.view, message.offset, message.end);
  return Array.from({ length: 130 }, (_, type) => [
    a.at(type),
    a.u8(type),
    a.u16(type),
    a.u16be(type),
    a.u32(type),
    a.string(type),
    a.nested(type)?.string(1),
  ]);
}

function holds(bytes: Uint8Array): void {
  // A read outside the message would see the difference.
  assert.deepEqual(decodeAll(bytes, 0x00), decodeAll(bytes, 0xff));
}

/** Sets the header's length, so that what follows is looked at. */
function framed(type: number, flags: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(NLMSG_HDRLEN + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  bytes.set(payload, NLMSG_HDRLEN);
  return bytes;
}

Deno.test("walkMessages() and all decoders bear random bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), holds),
    { numRuns: 1000 },
  );
});

Deno.test("walkMessages() and all decoders bear random payloads in a right frame", () => {
  const types = fc.constantFrom(2, 3, 16, 17, 20, 21, 24, 25, 28, 29, 80, 104, 105, 65535);
  const flags = fc.constantFrom(0, 2, 0x100, 0x200, 0x300, 0xffff);
  // Small bytes make attribute headers that fit more often.
  const byte = fc.oneof(fc.nat(255), fc.nat(40), fc.constantFrom(0, 2, 4, 7, 10));
  fc.assert(
    fc.property(types, flags, fc.array(byte, { maxLength: 160 }), (type, flags, payload) => {
      holds(framed(type, flags, Uint8Array.from(payload)));
    }),
    { numRuns: 3000 },
  );
});

Deno.test("walkMessages() and all decoders bear real messages with some bytes changed or cut off", () => {
  const change = fc.record({ at: fc.nat(), to: fc.constantFrom(0, 1, 3, 4, 0x7f, 0x80, 0xff) });
  fc.assert(
    fc.property(
      fc.constantFrom(...realMessages()),
      fc.array(change, { maxLength: 5 }),
      fc.nat(24),
      fc.boolean(),
      (real, changes, cut, keepFrame) => {
        const bytes = real.slice(0, real.length - Math.min(cut, real.length - NLMSG_HDRLEN));
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        if (keepFrame) new DataView(bytes.buffer).setUint32(0, bytes.length, true);
        holds(bytes);
      },
    ),
    { numRuns: 5000 },
  );
});

Deno.test("walkMessages() finds every message of a batch and stops at the first that does not fit", () => {
  const batch = new Batch(16);
  for (let index = 0; index < 5; index++) {
    batch.begin(100 + index, 0, () => "");
    batch.attrString(1, "x".repeat(index));
    batch.end();
  }
  const bytes = batch.bytes.slice();
  const types = (length: number) => {
    const found: number[] = [];
    walkMessages(bytes, length, messageView(), (message) => found.push(message.type));
    return found;
  };
  assert.deepEqual(types(bytes.length), [100, 101, 102, 103, 104]);
  assert.deepEqual(types(bytes.length - 1), [100, 101, 102, 103]);
  new DataView(bytes.buffer).setUint32(batch.startOf(2), NLMSG_HDRLEN - 1, true);
  assert.deepEqual(types(bytes.length), [100, 101], "a length below the header's ends the walk");
});

Deno.test("Attributes.parse() takes the last of a type and ends where a length does not fit", () => {
  const batch = new Batch();
  batch.attrU32(3, 1);
  batch.attrU32(3, 2);
  batch.attrU16be(4, 8472);
  batch.attrU8(127, 9);
  batch.attrU8(128, 9);
  batch.attrU32(5, 5);
  const { bytes } = batch;
  new DataView(bytes.buffer).setUint16(bytes.length - 8, 200, true);
  const a = new Attributes().parse(bytes, batch.view, 0, bytes.length);
  assert.equal(a.u32(3), 2);
  assert.equal(a.u16be(4), 8472);
  assert.equal(a.u32(4), undefined, "too short for four bytes");
  assert.equal(a.u8(127), 9);
  assert.equal(a.u8(128), undefined, "types that no object of ours has are passed over");
  assert.equal(a.u32(5), undefined);
});

Deno.test("decodeError() reads the errno and the kernel's words behind the request", () => {
  const view = (bytes: Uint8Array) => {
    let found: MessageView | undefined;
    walkMessages(bytes, bytes.length, messageView(), (message) => found = { ...message });
    return found!;
  };
  const error = realMessages()[2]!;
  assert.deepEqual(decodeError(view(error)), {
    errno: 101,
    message: "Nexthop has invalid gateway",
  });
  const acknowledged = framed(2, 0x100, new Uint8Array(20));
  assert.deepEqual(decodeError(view(acknowledged)), { errno: 0, message: undefined });
  // The whole request comes back (not NLM_F_CAPPED), its length a lie.
  const liar = error.slice();
  new DataView(liar.buffer).setUint16(6, 0x200, true);
  for (const length of [0, 40, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) {
    new DataView(liar.buffer).setUint32(NLMSG_HDRLEN + 4, length, true);
    assert.equal(decodeError(view(liar)).errno, 101, `${length}`);
  }
});
