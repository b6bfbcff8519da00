// What the packet loop puts into bundles arrives as the datagrams that it meant, over a path too narrow for bundles as well.
import assert from "node:assert/strict";
import { Bundler } from "../../core/overlay/udp/bundler.ts";
import { makeCounters, readCounters } from "../../core/overlay/udp/counters.ts";
import { buildPeerTable } from "../../core/overlay/udp/routes.ts";
import { addressOf } from "../../ffi/memory.ts";
import { Inbox } from "../../ffi/packet_io.ts";
import { changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { openTun } from "../../ffi/tun.ts";
import { openUdp } from "../../ffi/udp_socket.ts";
import { inNewNamespace } from "../support/namespace.ts";

const LOOPBACK = 0x7f000001;
const PORT = 8285;
const SLOT = 65536;
const SLOTS = 16;

/** Sends datagrams of some lengths to peer 0, over a loopback interface of some MTU; returns what arrives. */
function send(lengths: readonly number[], mtu: number, bundles = true) {
  using rtnl = openRtnl();
  changeLink(rtnl, 1, { up: true, mtu });
  using receiver = openUdp(LOOPBACK, PORT, { buffer: 1 << 20, bundles: true });
  using sender = openUdp(LOOPBACK, 0, { buffer: 1 << 20, bundles });
  const table = buildPeerTable([{ subnet: "10.244.1.0/24", publicIp: "127.0.0.1" }], PORT);
  const counters = makeCounters();
  const bundler = new Bundler(counters);
  bundler.useSocket(sender.fd, sender.segments);
  bundler.usePeers(addressOf(table.sockaddrs.buffer));
  const data = new Uint8Array(new ArrayBuffer(1 << 18)).map((_, index) => index * 7 + (index >> 8));
  let at = 0;
  const sent = lengths.map((length) => {
    const head = Math.min(40, length);
    const base = addressOf(data.buffer) + at;
    bundler.add(0, base, head, base + head, length - head);
    at += length;
    return data.slice(at - length, at);
  });
  bundler.flush();
  const memory = new Uint8Array(new ArrayBuffer(SLOTS * SLOT));
  const inbox = new Inbox(addressOf(memory.buffer), SLOTS, SLOT);
  const received: Uint8Array[] = [];
  for (let count = 0; (count = inbox.receive(receiver.fd, SLOTS)) > 0;) {
    for (let slot = 0; slot < count; slot++) {
      assert.equal(inbox.source(slot), LOOPBACK);
      const end = slot * SLOT + inbox.length(slot);
      for (let from = slot * SLOT; from < end; from += inbox.segment(slot)) {
        received.push(memory.slice(from, Math.min(end, from + inbox.segment(slot))));
      }
    }
  }
  return { sent, received, counters: readCounters(counters), data, memory };
}

const MIXED = [1400, 1400, 1400, 700, 1400, 60, 60, 60, 61, 1, ...Array(100).fill(1000), 999];

for (
  const [name, mtu, bundles] of [
    ["in bundles", 65536, true],
    ["singly where the path is narrower than the datagrams", 1300, true],
    ["singly where the kernel knows no bundles", 65536, false],
  ] as const
) {
  Deno.test(`Bundler sends datagrams of all sizes ${name}`, () =>
    inNewNamespace(() => {
      const { sent, received, counters } = send(MIXED, mtu, bundles);
      assert.equal(received.length, sent.length);
      assert.deepEqual(received, sent);
      assert.equal(counters.sentPackets, MIXED.length);
      assert.equal(counters.sentBytes, MIXED.reduce((sum, length) => sum + length, 0));
      assert.equal(counters.outRefused, 0);
    }));
}

Deno.test("Bundler counts what the kernel refuses, and goes on", () =>
  inNewNamespace(() => {
    // No interface is up: every send fails.
    using sender = openUdp(0, 0, { buffer: 1 << 16, bundles: true });
    const table = buildPeerTable([{ subnet: "10.244.1.0/24", publicIp: "192.0.2.1" }], PORT);
    const counters = makeCounters();
    const bundler = new Bundler(counters);
    bundler.useSocket(sender.fd, sender.segments);
    bundler.usePeers(addressOf(table.sockaddrs.buffer));
    const data = new Uint8Array(new ArrayBuffer(1000));
    for (let n = 0; n < 130; n++) bundler.add(0, addressOf(data.buffer), 100, 0, 0);
    bundler.add(0, addressOf(data.buffer), 1000, 0, 0);
    bundler.flush();
    const { outRefused, sentPackets } = readCounters(counters);
    assert.deepEqual([outRefused, sentPackets], [131, 0]);
  }));

Deno.test("openTun() makes a device that stays, and that can be opened again", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    let index: number | undefined;
    for (const offloads of [true, false, true]) {
      using tun = openTun("knet.tun0", { offloads });
      const link = getLink(rtnl, "knet.tun0");
      assert.equal(link?.kind, "tun");
      assert.equal(tun.offloads, offloads);
      index ??= link.index;
      assert.equal(link.index, index);
      assert.throws(() => openTun("knet.tun0", { offloads }), { code: "EBUSY" });
    }
    assert.equal(getLink(rtnl, "knet.tun0")?.index, index);
  }));

Deno.test("openTun() refuses a name that the kernel would cut, and a device of another sort", () =>
  inNewNamespace(() => {
    assert.throws(() => openTun("a-name-too-long-for-it", { offloads: true }), RangeError);
    assert.throws(() => openTun("lo", { offloads: true }), { code: "EINVAL" });
  }));
