/**
 * Datagrams that a host of the cluster or a stranger may send to the udp backend, and that must not get
 * through: `hostile.ts TARGET OWN-SUBNET TARGET-SUBNET SECONDS` sends all kinds as fast as it can.
 *
 * @module
 */
import { Outbox } from "../../ffi/packet_io.ts";
import { openUdp } from "../../ffi/udp_socket.ts";
import { writeSockaddr } from "../../ffi/packet_io.ts";
import { addressOf } from "../../ffi/memory.ts";
import { rangeOf } from "../../core/overlay/udp/routes.ts";
import { makePacket, seal } from "../../core/overlay/udp/testing.ts";
import { addressToNumber } from "../../core/base/address.ts";

const PORT = 8285;
const UDP = 17;
/** Where a packet that got through would arrive. */
const MARK = new TextEncoder().encode("knet-hostile");

/** One of each kind, by name. */
export function hostileDatagrams(own: string, target: string): Record<string, Uint8Array> {
  const source = rangeOf(own).first + 9;
  const destination = rangeOf(target).first + 2;
  const good = { protocol: UDP, source, destination, payload: MARK };
  const changed = (change: (packet: Uint8Array) => void, sealed = true) => {
    const packet = makePacket(good);
    change(packet);
    if (sealed) seal(packet);
    return packet;
  };
  return {
    empty: new Uint8Array(),
    "one byte": Uint8Array.of(0x45),
    noise: crypto.getRandomValues(new Uint8Array(700)),
    "a header alone": changed(() => {}).slice(0, 19),
    truncated: changed(() => {}).slice(0, 30),
    "IPv6": changed((packet) => packet[0] = 0x65),
    "a short header": changed((packet) => packet[0] = 0x44, false),
    "a long header": changed((packet) => packet[0] = 0x4f, false),
    "a length of nothing": changed((packet) => packet.fill(0, 2, 4)),
    "a wrong header checksum": changed((packet) => packet[8]! -= 1, false),
    "another peer's source": makePacket({ ...good, source: destination + 1 }),
    "a source outside": makePacket({ ...good, source: 0x08080808 }),
    "no source": makePacket({ ...good, source: 0 }),
    "a destination elsewhere": makePacket({ ...good, destination: 0x08080808 }),
    "a destination at the sender": makePacket({ ...good, destination: source }),
    "a broadcast": makePacket({ ...good, destination: 0xffffffff }),
    oversized: makePacket({ ...good, payload: new Uint8Array(8000) }),
    gigantic: makePacket({ ...good, payload: new Uint8Array(65000) }),
  };
}

/** Sends one of each kind, `times` times, or for some seconds. */
function flood(target: string, own: string, subnet: string, seconds: number): number {
  const datagrams = Object.values(hostileDatagrams(own, subnet));
  const socket = openUdp(0, 0, { buffer: 4 << 20, bundles: true });
  const sockaddr = new Uint8Array(new ArrayBuffer(16));
  writeSockaddr(new DataView(sockaddr.buffer), 0, Number(addressToNumber(target)), PORT);
  const buffers = datagrams.map((bytes) => {
    const copy = new Uint8Array(new ArrayBuffer(bytes.length + 1));
    copy.set(bytes);
    return copy;
  });
  const outbox = new Outbox(64, 256);
  let count = 0;
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    outbox.clear();
    datagrams.forEach((bytes, index) => {
      outbox.begin(addressOf(sockaddr.buffer));
      outbox.add(addressOf(buffers[index]!.buffer), bytes.length);
      // A bundle of odd pieces now and then.
      if (bytes.length > 100 && bytes.length < 1400 && count % 3 === 0) outbox.segment(61);
      count++;
    });
    while (outbox.send(socket.fd) !== 0) outbox.skip();
  }
  socket[Symbol.dispose]();
  return count;
}

/** Command line of the program. */
export function hostileLine(
  target: string,
  own: string,
  subnet: string,
  seconds: number,
): string[] {
  const program = new URL(import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-q", "--no-check", "-A", program];
  return [...deno, target, own, subnet, `${seconds}`];
}

if (import.meta.main) {
  const [target = "", own = "", subnet = "", seconds] = Deno.args;
  console.log(flood(target, own, subnet, Number(seconds)));
}
