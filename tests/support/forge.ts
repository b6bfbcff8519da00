/**
 * VXLAN datagrams made by hand (acceptance 11). As a program it sends them: `forge.ts ADDRESS PORT HEX COUNT [FROM]`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";

/** What a forged packet says of itself. */
export interface Forgery {
  readonly vni: number;
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
}

/** The UDP payload of a VXLAN datagram that holds a UDP packet (RFC 7348, RFC 791, RFC 768). */
export function forgedDatagram(forgery: Forgery): Uint8Array {
  const body = new TextEncoder().encode("forged by hand");
  const bytes = new Uint8Array(8 + 14 + 20 + 8 + body.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x08;
  view.setUint32(4, forgery.vni << 8);
  bytes.set(hex(forgery.destinationMac), 8);
  bytes.set(hex(forgery.sourceMac), 14);
  view.setUint16(20, 0x0800);
  const ip = 22;
  bytes[ip] = 0x45;
  view.setUint16(ip + 2, 28 + body.length);
  bytes[ip + 8] = 64;
  bytes[ip + 9] = 17;
  bytes.set(forgery.source.split(".").map(Number), ip + 12);
  bytes.set(forgery.destination.split(".").map(Number), ip + 16);
  view.setUint16(ip + 10, checksum(view, ip, 20));
  view.setUint16(ip + 20, forgery.port);
  view.setUint16(ip + 22, forgery.port);
  view.setUint16(ip + 24, 8 + body.length); // The checksum stays 0: none.
  bytes.set(body, ip + 28);
  return bytes;
}

function hex(mac: string): number[] {
  return mac.split(":").map((byte) => parseInt(byte, 16));
}

function checksum(view: DataView, offset: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += view.getUint16(offset + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Command line that sends a datagram `count` times, from an address of the namespace if one is given. */
export function forgeLine(
  to: string,
  port: number,
  payload: Uint8Array,
  count: number,
  from?: string,
): string[] {
  const program = new URL(import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-q", "--no-config", "-A", program];
  const hexed = Buffer.from(payload).toString("hex");
  return [...deno, to, `${port}`, hexed, `${count}`, ...(from === undefined ? [] : [from])];
}

if (import.meta.main) {
  const [to, port, payload = "", count, from] = Deno.args;
  const socket = createSocket("udp4");
  if (from !== undefined) await new Promise<void>((bound) => socket.bind(0, from, bound));
  // What a firewall refuses is refused: the test looks at what arrives.
  socket.on("error", () => {});
  for (let n = 0; n < Number(count); n++) {
    await new Promise((resolve) =>
      socket.send(Buffer.from(payload, "hex"), Number(port), to, resolve)
    );
  }
  socket.close();
}
