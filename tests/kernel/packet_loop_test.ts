// One direction of the packet loop between a real TUN device and a real socket, in a namespace.
import assert from "node:assert/strict";
import { makeCounters, readCounters } from "../../core/overlay/udp/counters.ts";
import { IcmpAnswerer } from "../../core/overlay/udp/icmp.ts";
import { Inward } from "../../core/overlay/udp/inward.ts";
import { PacketMemory } from "../../core/overlay/udp/packet_memory.ts";
import { Outward } from "../../core/overlay/udp/outward.ts";
import { buildPeerTable, rangeOf } from "../../core/overlay/udp/routes.ts";
import { isIntact, makePacket } from "../../core/overlay/udp/testing.ts";
import { addressOf } from "../../ffi/memory.ts";
import { Inbox, Outbox, writeSockaddr } from "../../ffi/packet_io.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { addRoute, routeOf } from "../../ffi/rtnl/route.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { openTun } from "../../ffi/tun.ts";
import { openIcmp, openUdp } from "../../ffi/udp_socket.ts";
import { inNewNamespace } from "../support/namespace.ts";

const OWN = rangeOf("10.244.1.0/24");
const PEER = rangeOf("10.244.2.0/24");
/** The peer and this host are one: what is sent comes back to a second socket. */
const LOOPBACK = 0x7f000001;
const PORT = 8285;
const LOOP_MTU = 1300;

function loop() {
  const stack = new DisposableStack();
  const rtnl = stack.use(openRtnl());
  const tun = stack.use(openTun("knet.tun0", { offloads: true }));
  const { index } = getLink(rtnl, "knet.tun0")!;
  changeLink(rtnl, 1, { up: true });
  changeLink(rtnl, index, { up: true, mtu: 1500, addrGenMode: 1 });
  addAddress(rtnl, { ifindex: index, address: "10.244.1.0", prefixLength: 32 });
  addRoute(rtnl, routeOf({ dst: "10.244.0.0/16", ifindex: index }));
  const wire = stack.use(openUdp(LOOPBACK, PORT, { buffer: 1 << 20, bundles: true }));
  const udp = stack.use(openUdp(LOOPBACK, 0, { buffer: 1 << 20, bundles: true }));
  const icmp = stack.use(openIcmp(OWN.first));
  const counters = makeCounters();
  const memory = new PacketMemory(Outward.memorySize + Inward.memorySize + 8192);
  const answerer = new IcmpAnswerer(memory, counters);
  answerer.useSocket(icmp.fd);
  const outward = new Outward(memory, counters, answerer);
  const inward = new Inward(memory, counters);
  const setup = { tun, udp, icmp: icmp.fd, mtu: LOOP_MTU, ...OWN, singly: false };
  outward.configure(setup);
  inward.configure({ ...setup, udp: wire });
  const table = buildPeerTable([{ subnet: "10.244.2.0/24", publicIp: "127.0.0.1" }], PORT);
  outward.usePeers(table, addressOf(table.sockaddrs.buffer));
  inward.usePeers(table);
  // Device and table are referred to by number and address only.
  return { stack, outward, inward, counters, wire, table, memory };
}

/** Sends a datagram; returns 0 or the errno made negative. */
function sendFrom(fd: number, to: number, port: number, bytes: Uint8Array): number {
  const name = new Uint8Array(new ArrayBuffer(16));
  writeSockaddr(new DataView(name.buffer), 0, to, port);
  const copy = new Uint8Array(new ArrayBuffer(bytes.length));
  copy.set(bytes);
  const outbox = new Outbox(1, 1);
  outbox.begin(addressOf(name.buffer));
  outbox.add(addressOf(copy.buffer), copy.length);
  const result = outbox.send(fd);
  return copy.length + name.length > 0 ? result : 0;
}

Deno.test("Outward answers a packet longer than the MTU, and the kernel learns the size that fits", () =>
  inNewNamespace(() => {
    const { stack, outward, counters } = loop();
    using _all = stack;
    using app = openUdp(OWN.first, 5000, { buffer: 1 << 16, bundles: false });
    assert.equal(sendFrom(app.fd, PEER.first + 2, 5001, new Uint8Array(1400)), 0);
    assert.equal(outward.turn(), 0);
    const { outTooBig, icmpSent, sentPackets } = readCounters(counters);
    assert.deepEqual([outTooBig, icmpSent, sentPackets], [1, 1, 0]);
    // Now the kernel cuts such a datagram itself.
    assert.equal(sendFrom(app.fd, PEER.first + 2, 5001, new Uint8Array(1400)), 0);
    outward.turn();
    const after = readCounters(counters);
    assert.deepEqual([after.outTooBig, after.sentPackets], [1, 2]);
  }));

Deno.test("Outward puts whole packets on the wire, a hop older", () =>
  inNewNamespace(() => {
    const { stack, outward, wire } = loop();
    using _all = stack;
    using app = openUdp(OWN.first, 5000, { buffer: 1 << 16, bundles: false });
    const lengths = [1, 2, 3, 500, 1272];
    for (const length of lengths) {
      sendFrom(app.fd, PEER.first + 2, 5001, new Uint8Array(length).fill(length));
    }
    assert.equal(outward.turn(), 0);
    const memory = new Uint8Array(new ArrayBuffer(16 * 65536));
    const inbox = new Inbox(addressOf(memory.buffer), 16, 65536);
    const count = inbox.receive(wire.fd, 16);
    assert.equal(count, lengths.length);
    lengths.forEach((length, slot) => {
      const packet = memory.slice(slot * 65536, slot * 65536 + inbox.length(slot));
      assert.equal(packet.length, 28 + length);
      assert.ok(isIntact(packet), "checksums");
      assert.equal(packet[8], 63, "time to live");
      assert.ok(packet.subarray(28).every((byte) => byte === (length & 255)));
    });
  }));

Deno.test("Inward takes what a peer may send and counts the rest by its reason", () =>
  inNewNamespace(() => {
    const { stack, inward, counters } = loop();
    using _all = stack;
    using app = openUdp(OWN.first, 5001, { buffer: 1 << 16, bundles: false });
    using peer = openUdp(LOOPBACK, 0, { buffer: 1 << 20, bundles: false });
    using stranger = openUdp(LOOPBACK + 1, 0, { buffer: 1 << 20, bundles: false });
    const good = {
      protocol: 17,
      source: PEER.first + 2,
      destination: OWN.first,
      payload: new Uint8Array(100).fill(7),
    };
    const packet = makePacket(good);
    const padded = new Uint8Array(packet.length + 5);
    padded.set(packet);
    const cases: [string, number, Uint8Array][] = [
      ["receivedPackets", peer.fd, packet],
      ["receivedPackets", peer.fd, padded],
      ["inUnknownPeer", stranger.fd, packet],
      ["inMalformed", peer.fd, new Uint8Array()],
      ["inMalformed", peer.fd, packet.slice(0, 50)],
      ["inMalformed", peer.fd, packet.map((byte, index) => index === 8 ? 1 : byte)],
      ["inSpoofed", peer.fd, makePacket({ ...good, source: OWN.first + 1 })],
      ["inNotOurs", peer.fd, makePacket({ ...good, destination: PEER.first + 1 })],
      ["inTooBig", peer.fd, makePacket({ ...good, payload: new Uint8Array(1280) })],
    ];
    const expected: Record<string, number> = {};
    for (const [name, fd, bytes] of cases) {
      assert.equal(sendFrom(fd, LOOPBACK, PORT, bytes), 0, name);
      inward.turn();
      expected[name] = (expected[name] ?? 0) + 1;
      const counted = readCounters(counters) as Record<string, number>;
      for (const [key, value] of Object.entries(expected)) assert.equal(counted[key], value, key);
    }
    const memory = new Uint8Array(new ArrayBuffer(4 * 65536));
    const inbox = new Inbox(addressOf(memory.buffer), 4, 65536);
    const arrived = inbox.receive(app.fd, 4);
    assert.equal(arrived, 2);
    assert.deepEqual(memory.slice(0, 100), good.payload);
    assert.equal(inbox.length(1), 100);
  }));
