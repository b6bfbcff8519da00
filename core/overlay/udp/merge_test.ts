import assert from "node:assert/strict";
import fc from "fast-check";
import { closeFile, openFile } from "../../../ffi/file.ts";
import { O_WRONLY } from "../../../ffi/linux/fcntl.ts";
import { VNET_HDR } from "../../../ffi/tun.ts";
import { makeCounters, readCounters } from "./counters.ts";
import type { PacketMemory } from "./packet_memory.ts";
import { Merger } from "./merge.ts";
import { GSO, NEEDS_CHECKSUM, PROTOCOL, TCP_FLAG, VNET } from "./packet.ts";
import { Segmenter } from "./segment.ts";
import {
  isIntact,
  makePacket,
  naiveSum,
  type PacketParts,
  seal,
  Sink,
  testMemory,
} from "./testing.ts";

/** A packet as the kernel gets it: what its virtio_net_hdr says, and its bytes. */
interface Delivered {
  readonly type: number;
  readonly flags: number;
  readonly size: number;
  readonly start: number;
  readonly offset: number;
  readonly packet: Uint8Array<ArrayBuffer>;
}

function delivered(bytes: Uint8Array): Delivered[] {
  const found: Delivered[] = [];
  for (let at = 0; at < bytes.length;) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const length = view.getUint16(VNET_HDR + 2);
    found.push({
      flags: view.getUint8(VNET.flags),
      type: view.getUint8(VNET.type),
      size: view.getUint16(VNET.size, true),
      start: view.getUint16(VNET.start, true),
      offset: view.getUint16(VNET.offset, true),
      packet: bytes.slice(at + VNET_HDR, at + VNET_HDR + length) as Uint8Array<ArrayBuffer>,
    });
    at += VNET_HDR + length;
  }
  return found;
}

class Bench implements Disposable {
  readonly memory: PacketMemory = testMemory();
  readonly sink = new Sink();
  readonly counters = makeCounters();
  readonly merger: Merger;
  readonly #segmenter: Segmenter;

  constructor(udpOffload = true, offloads = true) {
    this.merger = new Merger(this.memory, this.counters);
    this.merger.useDevice({ fd: this.sink.fd, offloads, udpOffload });
    const headers = this.memory.allocate(64 << 10);
    this.#segmenter = new Segmenter(this.memory, headers, 64 << 10);
  }

  /** Hands packets to the merger, as if they had come in one batch. */
  merge(packets: readonly Uint8Array[]): Delivered[] {
    let at = 128 << 10;
    for (const packet of packets) {
      this.memory.u8.set(packet, at);
      this.merger.add(at, packet.length);
      at += packet.length + (packet.length % 3); // Datagrams in a bundle lie anywhere.
    }
    this.merger.flush();
    return delivered(this.sink.take());
  }

  /** Cuts a packet and returns the packets that it becomes. */
  cut(packet: Uint8Array, size: number): Uint8Array<ArrayBuffer>[] {
    const at = 128 << 10;
    this.memory.u8.set(packet, at);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    this.#segmenter.clear();
    this.#segmenter.cut(at, packet.length, size, (header, headers, payload, count) => {
      const part = new Uint8Array(headers + count);
      part.set(this.memory.u8.subarray(header, header + headers));
      part.set(this.memory.u8.subarray(payload, payload + count), headers);
      parts.push(part);
      if (this.#segmenter.full) this.#segmenter.clear();
    });
    return parts;
  }

  [Symbol.dispose](): void {
    this.sink[Symbol.dispose]();
  }
}

const payloadOf = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, index) => Math.imul(index + seed, 2654435761) >>> 24);

const large = fc.record({
  protocol: fc.constantFrom(PROTOCOL.tcp, PROTOCOL.udp),
  length: fc.integer({ min: 1, max: 60_000 }),
  size: fc.integer({ min: 300, max: 1432 }),
  options: fc.constantFrom(0, 4, 12, 20, 40),
  sequence: fc.nat(0xffffffff),
  id: fc.nat(0xffff),
  fragment: fc.constantFrom(0, 0x4000),
  push: fc.boolean(),
  seed: fc.nat(1000),
});

Deno.test("Segmenter.cut() gives whole packets, and Merger puts them together again", () => {
  using bench = new Bench();
  fc.assert(
    fc.property(large, (one) => {
      const tcp = one.protocol === PROTOCOL.tcp;
      const headers = tcp ? 40 + one.options : 28;
      const parts: PacketParts = {
        ...one,
        // A bundle of UDP has no more than 64 datagrams.
        payload: payloadOf(tcp ? one.length : Math.min(one.length, one.size * 64), one.seed),
        options: payloadOf(tcp ? one.options : 0, 1),
        flags: TCP_FLAG.ack | (one.push ? TCP_FLAG.psh : 0),
      };
      const whole = makePacket(parts);
      const packets = bench.cut(whole, one.size);
      assert.equal(packets.length, Math.ceil(parts.payload.length / one.size));
      const payload: number[] = [];
      for (const [index, packet] of packets.entries()) {
        assert.ok(isIntact(packet), `checksums of segment ${index}`);
        const last = index === packets.length - 1;
        if (!last) assert.equal(packet.length, headers + one.size);
        const view = new DataView(packet.buffer);
        assert.equal(view.getUint16(2), packet.length);
        assert.equal(view.getUint16(4), (one.id + index) & 0xffff);
        if (tcp) {
          assert.equal(view.getUint32(24), (one.sequence + index * one.size) >>> 0);
          assert.equal((packet[33]! & TCP_FLAG.psh) !== 0, one.push && last);
        } else assert.equal(view.getUint16(24), packet.length - 20);
        payload.push(...packet.subarray(headers));
      }
      assert.deepEqual(Uint8Array.from(payload), parts.payload);

      const merged = bench.merge(packets);
      assert.ok(merged.length <= Math.max(1, Math.ceil(packets.length / 64)), `${merged.length}`);
      const again: Uint8Array[] = [];
      for (const { packet, type, size, flags, start, offset } of merged) {
        if (type === GSO.none) {
          assert.ok(isIntact(packet));
          again.push(packet);
          continue;
        }
        assert.equal(type, tcp ? GSO.tcp4 : GSO.udp);
        assert.equal(size, one.size);
        assert.deepEqual([flags, start, offset], [NEEDS_CHECKSUM, 20, tcp ? 16 : 6]);
        // What is left in the field is the pseudo header's sum: with it, everything sums up as it should.
        const field = start + offset;
        const partial = (packet[field]! << 8) | packet[field + 1]!;
        const copy = packet.slice();
        seal(copy);
        const right = ~((copy[field]! << 8) | copy[field + 1]!) & 0xffff;
        copy.fill(0, field, field + 2);
        assert.equal(naiveSum(copy.subarray(20), partial) % 0xffff, right % 0xffff);
        again.push(...bench.cut(packet, size));
      }
      assert.deepEqual(again, packets);
    }),
    { numRuns: 60 },
  );
});

Deno.test("Segmenter.cut() sends a smaller window's echo with the first packet and FIN with the last", () => {
  using bench = new Bench();
  const { fin, psh, ack, cwr } = TCP_FLAG;
  const packet = makePacket({
    protocol: PROTOCOL.tcp,
    flags: ack | psh | fin | cwr,
    payload: payloadOf(2500, 1),
  });
  const flags = bench.cut(packet, 1000).map((part) => part[33]);
  assert.deepEqual(flags, [ack | cwr, ack, ack | psh | fin]);
});

const base: PacketParts = { protocol: PROTOCOL.tcp, payload: payloadOf(1000, 5), sequence: 1000 };
const next: PacketParts = { ...base, payload: payloadOf(1000, 6), sequence: 2000, id: 8 };

/** Packets that must not be merged with what follows or goes before. */
const APART: readonly (readonly [name: string, first: PacketParts, second: PacketParts])[] = [
  ["a gap in the sequence", base, { ...next, sequence: 2001 }],
  ["other addresses", base, { ...next, source: 0x0af40103 }],
  ["another destination", base, { ...next, destination: 0x0af40203 }],
  ["another time to live", base, { ...next, ttl: 62 }],
  ["options", base, { ...next, options: payloadOf(12, 1) }],
  ["a larger packet behind a smaller", base, { ...next, payload: payloadOf(1001, 6) }],
  ["PSH in the first", { ...base, flags: 0x18 }, next],
  ["FIN", base, { ...next, flags: 0x11 }],
  ["SYN", { ...base, flags: 0x12 }, next],
  ["a congestion mark", base, { ...next, flags: 0x50 }],
  ["no payload", base, { ...next, payload: new Uint8Array() }],
  ["a fragment", base, { ...next, fragment: 0x2000 }],
  ["the bit that forbids fragments in one", base, { ...next, fragment: 0 }],
  ["another protocol", base, { ...next, protocol: PROTOCOL.udp }],
  ["a protocol without ports", base, { ...next, protocol: PROTOCOL.icmp }],
  [
    "an identification that does not count up",
    { ...base, fragment: 0 },
    { ...next, fragment: 0, id: 9 },
  ],
];

for (const [name, first, second] of APART) {
  Deno.test(`Merger hands packets over as they came: ${name}`, () => {
    using bench = new Bench();
    const packets = [makePacket(first), makePacket(second)];
    const got = bench.merge(packets);
    assert.deepEqual(got.map(({ packet }) => packet), packets);
    assert.deepEqual(got.map(({ type, flags }) => [type, flags]), [[0, 0], [0, 0]]);
  });
}

for (const broken of [0, 1]) {
  Deno.test(`Merger lets a wrong checksum in packet ${broken + 1} of 3 stay wrong`, () => {
    using bench = new Bench();
    const third = { ...next, payload: payloadOf(1000, 7), sequence: 3000, id: 9 };
    const packets = [base, next, third].map(makePacket);
    packets[broken]![60]! ^= 1;
    const got = bench.merge(packets);
    const singles = got.filter(({ type }) => type === GSO.none).map(({ packet }) => packet);
    assert.deepEqual(singles[broken === 0 ? 0 : 1] ?? singles[0], packets[broken]);
    assert.ok(!isIntact(packets[broken]!));
  });
}

Deno.test("Merger without offloads writes bare packets", () => {
  using bench = new Bench(false, false);
  const packets = [makePacket(base), makePacket(next)];
  let at = 128 << 10;
  for (const packet of packets) {
    bench.memory.u8.set(packet, at);
    bench.merger.add(at, packet.length);
    at += packet.length;
  }
  bench.merger.flush();
  assert.deepEqual(bench.sink.take(), Uint8Array.from(packets.flatMap((one) => [...one])));
  const { receivedPackets, deliverCalls } = readCounters(bench.counters);
  assert.deepEqual([receivedPackets, deliverCalls], [2, 2]);
});

Deno.test("Merger counts packets, not bundles", () => {
  using bench = new Bench();
  const packets = bench.cut(makePacket({ ...base, payload: payloadOf(10_000, 1) }), 1000);
  assert.equal(bench.merge(packets).length, 1);
  const { receivedPackets, receivedBytes, deliverCalls } = readCounters(bench.counters);
  assert.deepEqual([receivedPackets, receivedBytes, deliverCalls], [10, 10_400, 1]);
});

Deno.test("Merger allocates nothing per packet", () => {
  using bench = new Bench();
  const nowhere = openFile("/dev/null", O_WRONLY);
  try {
    bench.merger.useDevice({ fd: nowhere, offloads: true, udpOffload: true });
    const packets = bench.cut(makePacket({ ...base, payload: payloadOf(40_000, 1) }), 1000);
    const places = packets.map((packet, index) => {
      const at = (256 << 10) + index * 1100;
      bench.memory.u8.set(packet, at);
      return at;
    });
    const pass = (times: number) => {
      for (let n = 0; n < times; n++) {
        // An iterator would take more than what is measured.
        for (let index = 0; index < places.length; index++) {
          bench.merger.add(places[index]!, packets[index]!.length);
        }
        bench.merger.flush();
        // Its headers became those of the whole.
        bench.memory.u8.set(packets[0]!, places[0]);
      }
    };
    pass(1000);
    const grown = [1, 2, 3].map(() => {
      const before = Deno.memoryUsage().heapUsed;
      pass(1000);
      return Deno.memoryUsage().heapUsed - before;
    });
    // The test's own loop takes some, and so does a call of the kernel per forty packets.
    assert.ok(Math.min(...grown) < 40_000 * 8, `${grown} bytes for 40,000 packets`);
  } finally {
    closeFile(nowhere);
  }
});
