/**
 * What pings between containers of two hosts must look like on the underlay.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PROBE_PORT } from "../../core/inspect/probe/message.ts";
import { udpOf, vniOf } from "./capture.ts";
import type { Container } from "./container.ts";
import { identityOf } from "./walk.ts";

const IPV4 = 0x0800;
const [ICMP, TCP, UDP] = [1, 6, 17];
const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;

/**
 * Whether an IPv4 packet is none of the pings: a segment that a transfer before them sends again, or what agents ask each other.
 *
 * @param packet from its header on, without options.
 */
function isOthers(packet: Uint8Array): boolean {
  if (packet[9] === TCP) return true;
  const ports = [0, 2].map((at) => (packet[20 + at]! << 8) | packet[21 + at]!);
  return packet[9] === UDP && ports.includes(PROBE_PORT);
}

/** VXLAN datagrams between the two hosts, each inner frame for the device of the host that gets it. */
export async function checkVxlanPackets(
  frames: readonly Uint8Array[],
  near: Container,
  far: Container,
): Promise<void> {
  const hosts = [near.host, far.host];
  const macs = new Map(
    await Promise.all(
      hosts.map(async (host) => [host.address, (await identityOf(host)).mac] as const),
    ),
  );
  for (const frame of frames) {
    const datagram = udpOf(frame);
    assert.ok(datagram !== undefined, "a frame that is no UDP datagram");
    assert.equal(datagram.destinationPort, 8472);
    assert.equal(vniOf(datagram), 1);
    const inside = datagram.payload.subarray(8);
    if (inside[12] === IPV4 >> 8 && inside[13] === (IPV4 & 255) && isOthers(inside.subarray(14))) {
      continue;
    }
    assert.deepEqual(
      [datagram.source, datagram.destination].sort(),
      hosts.map((host) => host.address).sort(),
    );
    const inner = [...inside.subarray(0, 6)]
      .map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    assert.equal(inner, macs.get(datagram.destination), "inner destination MAC");
  }
}

/** Datagrams between the two hosts, each the containers' own packet and nothing else, once routed and once passed on. */
export function checkUdpPackets(
  frames: readonly Uint8Array[],
  near: Container,
  far: Container,
): void {
  const addresses = [near.host.address, far.host.address].sort();
  for (const frame of frames) {
    const datagram = udpOf(frame);
    assert.ok(datagram !== undefined, "a frame that is no UDP datagram");
    assert.deepEqual([datagram.sourcePort, datagram.destinationPort], [8285, 8285]);
    const packet = datagram.payload;
    if (isOthers(packet)) continue;
    assert.deepEqual([datagram.source, datagram.destination].sort(), addresses);
    assert.equal(packet[0], 0x45, "an IPv4 packet without options");
    assert.equal((packet[2]! << 8) | packet[3]!, packet.length, "length of the packet");
    const ends = [packet.subarray(12, 16).join("."), packet.subarray(16, 20).join(".")];
    assert.deepEqual(ends.sort(), [near.address, far.address].sort());
    assert.equal(packet[9], ICMP, "a packet that is no ICMP message");
    assert.equal(packet[8], 62, "TTL in the tunnel");
  }
}

/** The containers' own packets, once routed, and nothing that tells anybody of a better way. */
export function checkPlainPackets(
  frames: readonly Uint8Array[],
  near: Container,
  far: Container,
): void {
  for (const frame of frames) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    assert.equal(view.getUint16(12), IPV4, "a frame that is no IPv4 packet");
    if (isOthers(frame.subarray(14))) continue;
    assert.equal(frame[23], ICMP, "a packet that is no ICMP message");
    const source = frame.subarray(26, 30).join(".");
    const destination = frame.subarray(30, 34).join(".");
    assert.deepEqual([source, destination].sort(), [near.address, far.address].sort());
    assert.equal(frame[22], 63, "TTL on the underlay");
    const type = frame[14 + ((frame[14] ?? 0) & 15) * 4];
    assert.equal(type, source === near.address ? ECHO_REQUEST : ECHO_REPLY, "ICMP type");
  }
}
