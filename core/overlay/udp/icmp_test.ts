import assert from "node:assert/strict";
import {
  EXPIRED,
  ICMP,
  type IcmpError,
  mayAnswer,
  NO_NETWORK,
  TOO_BIG,
  writeError,
} from "./icmp.ts";
import { PROTOCOL } from "./packet.ts";
import { makePacket, naiveSum, type PacketParts, testMemory } from "./testing.ts";

function place(parts: PacketParts) {
  const memory = testMemory();
  const packet = makePacket(parts);
  memory.u8.set(packet, 1024);
  return { memory, packet };
}

const TCP: PacketParts = { protocol: PROTOCOL.tcp, payload: new Uint8Array(1000).fill(9) };

for (
  const [name, error, mtu] of [
    ["no route", NO_NETWORK, 0],
    ["expired", EXPIRED, 0],
    ["too big", TOO_BIG, 1372],
  ] as [string, IcmpError, number][]
) {
  Deno.test(`writeError() quotes the packet: ${name}`, () => {
    const { memory, packet } = place(TCP);
    const size = writeError(memory, 4096, error, 1024, packet.length, mtu);
    const message = memory.u8.slice(4096, 4096 + size);
    assert.equal(size + 20, 576);
    assert.deepEqual([message[0], message[1]], [error.type, error.code]);
    assert.equal(naiveSum(message), 0xffff);
    assert.equal(message[4]! + message[5]!, 0);
    assert.equal(message[ICMP.mtu]! * 256 + message[ICMP.mtu + 1]!, mtu);
    assert.deepEqual(message.slice(ICMP.quote), packet.slice(0, size - ICMP.quote));
  });
}

Deno.test("writeError() quotes a short packet whole, odd lengths too", () => {
  const { memory, packet } = place({ protocol: PROTOCOL.udp, payload: new Uint8Array(3).fill(1) });
  memory.u8.fill(0xff, 4096, 5000);
  const size = writeError(memory, 4096, EXPIRED, 1024, packet.length);
  assert.equal(size, ICMP.quote + packet.length);
  assert.equal(naiveSum(memory.u8.slice(4096, 4096 + size)), 0xffff);
});

const icmp = (type: number): PacketParts => ({
  protocol: PROTOCOL.icmp,
  payload: Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0),
});

for (
  const [name, parts, answer] of [
    ["TCP", TCP, true],
    ["the first fragment", { ...TCP, fragment: 0x2000 }, true],
    ["a later fragment", { ...TCP, fragment: 0x2001 }, false],
    ["an echo request", icmp(8), true],
    ["an echo reply", icmp(0), true],
    ["an ICMP error", icmp(3), false],
    ["a redirect", icmp(5), false],
    ["an ICMP time exceeded", icmp(11), false],
    ["ICMP without a type", { protocol: PROTOCOL.icmp, payload: new Uint8Array() }, false],
    ["a source of zeros", { ...TCP, source: 0 }, false],
    ["a loopback source", { ...TCP, source: 0x7f000001 }, false],
    ["a multicast source", { ...TCP, source: 0xe0000001 }, false],
    ["a multicast destination", { ...TCP, destination: 0xe0000001 }, false],
    ["a broadcast destination", { ...TCP, destination: 0xffffffff }, false],
  ] as [string, PacketParts, boolean][]
) {
  Deno.test(`mayAnswer() says ${answer ? "yes" : "no"} to ${name}`, () => {
    const { memory, packet } = place(parts);
    assert.equal(mayAnswer(memory, 1024, packet.length), answer);
  });
}
