/**
 * Packets of the udp backend, both ways: from peers that send anything, and from a device that hands
 * over anything. What is passed on is whole, and of whom and to whom it may be.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { OwnedFd } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { SOCKADDR_IN } from "../../ffi/linux/socket.ts";
import { Inbox, Outbox, writeSockaddr } from "../../ffi/packet_io.ts";
import { VNET_HDR } from "../../ffi/tun.ts";
import { type DatagramSocket, openUdp } from "../../ffi/udp_socket.ts";
import { makeCounters } from "../../core/overlay/udp/counters.ts";
import { IcmpAnswerer } from "../../core/overlay/udp/icmp.ts";
import { Inward } from "../../core/overlay/udp/inward.ts";
import { Outward } from "../../core/overlay/udp/outward.ts";
import { GSO, IP, isPacket, PROTOCOL } from "../../core/overlay/udp/packet.ts";
import { PacketMemory } from "../../core/overlay/udp/packet_memory.ts";
import { buildPeerTable } from "../../core/overlay/udp/routes.ts";
import { makePacket, Sink, testMemory } from "../../core/overlay/udp/testing.ts";
import type { FuzzTarget } from "./target.ts";
import { hurtBytes } from "./target.ts";

const LOOPBACK = 0x7f000001;
const PEER = "10.244.1.0/24";
const MTU = 1472;
/** This host's subnet, 10.244.2.0/24, where `makePacket` sends to. */
const FIRST = 0x0af40200;

const packet = fc.record({
  protocol: fc.constantFrom(PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp),
  source: fc.constantFrom(0x0af40102, 0x0af40202, 0x7f000001, 0xe0000001, 0),
  destination: fc.constantFrom(0x0af40202, 0x0af40102, 0x0af40300, 0xffffffff),
  ttl: fc.constantFrom(63, 64, 1, 0),
  fragment: fc.constantFrom(0x4000, 0x2000, 0x00b9),
  sequence: fc.constantFrom(1000, 1100, 0xffffffff),
  flags: fc.nat(255),
  options: fc.constantFrom(new Uint8Array(), new Uint8Array(12).fill(1)),
  payload: fc.uint8Array({ maxLength: 1500 }),
}).map(makePacket);

/** Opens a UDP socket on a port of loopback that is free. */
function openAnywhere(): { socket: DatagramSocket; port: number } {
  for (let port = 20000 + Math.floor(Math.random() * 10000);; port++) {
    try {
      return { socket: openUdp(LOOPBACK, port, { buffer: 4 << 20, bundles: true }), port };
    } catch (error) {
      if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    }
  }
}

/** Sends datagrams to a port of loopback. */
class Sender {
  readonly #memory: PacketMemory;
  readonly #at: number;
  readonly #to: number;
  readonly #outbox = new Outbox(1, 1);

  constructor(memory: PacketMemory, port: number) {
    this.#memory = memory;
    this.#at = memory.allocate(64 << 10);
    this.#to = memory.allocate(SOCKADDR_IN);
    writeSockaddr(memory.view, this.#to, LOOPBACK, port);
  }
  send(fd: number, bytes: Uint8Array): void {
    this.#memory.u8.set(bytes, this.#at);
    this.#outbox.clear();
    this.#outbox.begin(this.#memory.base + this.#to);
    this.#outbox.add(this.#memory.base + this.#at, bytes.length);
    this.#outbox.send(fd);
  }
}

/** Checks packets that lie one behind the other, each behind a virtio_net_hdr or none. */
function assertWhole(
  bytes: Uint8Array,
  header: number,
  judge: (at: number, memory: PacketMemory) => void,
) {
  const memory = testMemory();
  memory.u8.set(bytes);
  for (let at = 0; at < bytes.length;) {
    const start = at + header;
    const length = memory.view.getUint16(start + IP.length);
    assert.ok(isPacket(memory, start, bytes.length - start), "no whole packet was passed on");
    judge(start, memory);
    at = start + length;
  }
}

/** From peers. */
export const udpIn: FuzzTarget = {
  name: "udp-in",
  about: "datagrams to the udp backend, from a peer's address",
  runs: 400,
  open() {
    const { socket, port } = openAnywhere();
    const sink = new Sink();
    const counters = makeCounters();
    const memory = new PacketMemory(Inward.memorySize + (1 << 16));
    const inward = new Inward(memory, counters);
    inward.configure({
      tun: { fd: sink.fd, offloads: true, udpOffload: true },
      udp: socket,
      icmp: -1,
      mtu: MTU,
      first: FIRST,
      last: FIRST + 255,
      singly: false,
    });
    inward.usePeers(buildPeerTable([{ subnet: PEER, publicIp: "127.0.0.1" }], port));
    const sender = new Sender(testMemory(), port);
    const property = fc.property(
      fc.array(hurtBytes(packet), { minLength: 1, maxLength: 12 }),
      (datagrams) => {
        for (const bytes of datagrams) sender.send(socket.fd, bytes);
        inward.turn();
        assertWhole(sink.take(), VNET_HDR, (at, { view }) => {
          assert.equal(view.getUint32(at + IP.source) >>> 8, 0x0af401, "not the peer's");
          assert.equal(view.getUint32(at + IP.destination) >>> 8, 0x0af402, "not to this host");
        });
      },
    );
    return Promise.resolve({
      property,
      // deno-lint-ignore require-await
      async [Symbol.asyncDispose]() {
        sink[Symbol.dispose]();
        socket[Symbol.dispose]();
      },
    });
  },
};

const vnet = fc.record({
  flags: fc.constantFrom(0, 1, 255),
  type: fc.constantFrom(GSO.none, GSO.tcp4, GSO.udp, GSO.tcp4 | GSO.ecn, 77),
  size: fc.constantFrom(0, 1, 100, 1400, 65535),
  start: fc.constantFrom(0, 20, 24, 65535),
  offset: fc.constantFrom(6, 16, 65535),
}).map(({ flags, type, size, start, offset }) => {
  const bytes = new Uint8Array(VNET_HDR);
  const view = new DataView(bytes.buffer);
  bytes[0] = flags;
  bytes[1] = type;
  view.setUint16(4, size, true);
  view.setUint16(6, start, true);
  view.setUint16(8, offset, true);
  return bytes;
});

const AF_UNIX = 1;
const SEQPACKET_NONBLOCK = 5 | 0o4000;

/** Two ends that hand packets over whole, as a device does. */
function packetPair(): [OwnedFd, OwnedFd] {
  const own = Deno.dlopen("libc.so.6", {
    socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  });
  const ends = new Int32Array(2);
  const status = own.symbols.socketpair(AF_UNIX, SEQPACKET_NONBLOCK, 0, ends);
  own.close();
  if (status !== 0) throw new Error("Cannot make a pair of sockets");
  return [new OwnedFd(ends[0]!), new OwnedFd(ends[1]!)];
}

/** From the device. */
export const udpOut: FuzzTarget = {
  name: "udp-out",
  about: "packets from the TUN device, with any virtio_net_hdr",
  runs: 1500,
  open() {
    const { socket, port } = openAnywhere();
    const [device, kernel] = packetPair();
    const counters = makeCounters();
    const memory = new PacketMemory(Outward.memorySize + (1 << 18));
    const outward = new Outward(memory, counters, new IcmpAnswerer(memory, counters));
    outward.configure({
      tun: { fd: device.fd, offloads: true, udpOffload: true },
      udp: { fd: socket.fd, segments: true, bundles: true },
      icmp: -1,
      mtu: MTU,
      first: 0x0af40300,
      last: 0x0af403ff,
      singly: false,
    });
    const table = buildPeerTable([{ subnet: "10.244.2.0/24", publicIp: "127.0.0.1" }], port);
    const sockaddrs = memory.allocate(table.sockaddrs.length);
    memory.u8.set(table.sockaddrs, sockaddrs);
    outward.usePeers(table, memory.base + sockaddrs);
    const arrived = testMemory();
    const inbox = new Inbox(arrived.base, 8, 64 << 10);
    const take = (judge: (at: number, length: number) => void) => {
      for (let count; (count = inbox.receive(socket.fd, 8)) > 0;) {
        for (let slot = 0; slot < count; slot++) {
          const size = inbox.segment(slot);
          const end = inbox.length(slot);
          for (let at = 0; at < end; at += size) {
            judge(slot * (64 << 10) + at, Math.min(size, end - at));
          }
        }
      }
    };
    const property = fc.property(
      fc.array(fc.tuple(vnet, hurtBytes(packet)), { minLength: 1, maxLength: 6 }),
      (packets) => {
        for (const [header, bytes] of packets) {
          const whole = new Uint8Array([...header, ...bytes]);
          libc().write(kernel.fd, whole, BigInt(whole.length));
        }
        outward.turn();
        take((at, length) => {
          assert.ok(isPacket(arrived, at, length), "no whole packet was sent");
          assert.equal(
            arrived.view.getUint16(at + IP.length),
            length,
            "more than a packet was sent",
          );
          assert.ok(length <= MTU, "a packet above the MTU was sent");
          assert.equal(arrived.view.getUint32(at + IP.destination) >>> 8, 0x0af402);
        });
      },
    );
    return Promise.resolve({
      property,
      // deno-lint-ignore require-await
      async [Symbol.asyncDispose]() {
        for (const one of [device, kernel, socket]) one[Symbol.dispose]();
      },
    });
  },
};
