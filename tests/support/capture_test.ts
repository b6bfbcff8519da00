/** @module */
import assert from "node:assert/strict";
import { pcapFrames, udpOf, vniOf } from "./capture.ts";
import { forgedDatagram } from "./forge.ts";
import { networkOf } from "./host.ts";

const forged = forgedDatagram({
  vni: 0x123456,
  sourceMac: "02:00:00:00:00:01",
  destinationMac: "02:00:00:00:00:02",
  source: "10.244.1.2",
  destination: "10.244.0.2",
  port: 9,
});

Deno.test("forgedDatagram() makes an inner packet that udpOf() reads, with a right IPv4 checksum", () => {
  const inner = forged.subarray(8);
  const datagram = udpOf(inner);
  assert.equal(datagram?.source, "10.244.1.2");
  assert.equal(datagram.destination, "10.244.0.2");
  assert.equal(datagram.destinationPort, 9);
  const view = new DataView(inner.buffer, inner.byteOffset + 14, 20);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(i);
  assert.equal((sum & 0xffff) + (sum >>> 16), 0xffff);
});

Deno.test("vniOf() reads the VNI of a VXLAN payload and of nothing else", () => {
  const datagram = { source: "", destination: "", sourcePort: 1, destinationPort: 8472 };
  assert.equal(vniOf({ ...datagram, payload: forged }), 0x123456);
  assert.equal(vniOf({ ...datagram, payload: new Uint8Array(8) }), undefined);
});

Deno.test("pcapFrames() leaves out a record that is cut off", () => {
  const file = new Uint8Array(24 + 16 + 3 + 16 + 1);
  const view = new DataView(file.buffer);
  view.setUint32(24 + 8, 3, true);
  view.setUint32(24 + 16 + 3 + 8, 5, true);
  assert.deepEqual(pcapFrames(file).map((frame) => frame.length), [3]);
});

Deno.test("networkOf() clears the host bits", () => {
  assert.equal(networkOf("10.9.8.7/30"), "10.9.8.4/30");
  assert.equal(networkOf("172.26.1.1/24"), "172.26.1.0/24");
});
