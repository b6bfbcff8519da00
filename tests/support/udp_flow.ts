/**
 * UDP between containers, every datagram of another size and told from a damaged one: `udp_flow.ts send
 * ADDRESS SECONDS RATE` sends that many a second, `udp_flow.ts receive` prints one JSON line a second.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { addressOf } from "../../ffi/memory.ts";
import { Inbox, PollSet } from "../../ffi/packet_io.ts";
import { openUdp } from "../../ffi/udp_socket.ts";

const PORT = 5002;
const SLOT = 65536;
const SLOTS = 16;

/** What a receiver has seen. */
export interface FlowCounts {
  readonly good: number;
  readonly damaged: number;
}

/** Bytes that follow from their number alone. */
function datagram(number: number): Uint8Array {
  const bytes = new Uint8Array(8 + Math.imul(number, 2654435761) >>> 21 & 2047).subarray(0, 1440);
  const data = bytes.length < 8 ? new Uint8Array(8) : bytes;
  let state = (number ^ 0x6b6e6574) >>> 0;
  for (let at = 4; at < data.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[at] = state >>> 24;
  }
  new DataView(data.buffer, data.byteOffset).setUint32(0, number);
  return data;
}

function isIntact(data: Uint8Array): boolean {
  if (data.length < 8) return false;
  const number = new DataView(data.buffer, data.byteOffset, data.length).getUint32(0);
  const expected = datagram(number);
  return expected.length === data.length && expected.every((byte, index) => byte === data[index]);
}

async function send(address: string, seconds: number, rate: number): Promise<void> {
  const socket = createSocket("udp4");
  let number = 0;
  const start = performance.now();
  while (performance.now() - start < seconds * 1000) {
    const due = (performance.now() - start) / 1000 * rate;
    for (; number < due; number++) socket.send(datagram(number), PORT, address);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  console.log(number);
  socket.close();
}

/** By large queues and few calls: the program shares two processors with a dozen others, and must not be where datagrams are lost. */
function receive(): void {
  let good = 0;
  let damaged = 0;
  const memory = new Uint8Array(new ArrayBuffer(SLOTS * SLOT));
  const inbox = new Inbox(addressOf(memory.buffer), SLOTS, SLOT);
  const { fd } = openUdp(0, PORT, { buffer: 16 << 20, bundles: true });
  const poll = new PollSet(1);
  poll.set(0, fd);
  console.log("ready");
  for (let next = 0;;) {
    poll.wait(200);
    const count = inbox.receive(fd, SLOTS);
    for (let slot = 0; slot < count; slot++) {
      const end = slot * SLOT + inbox.length(slot);
      const size = Math.max(1, inbox.segment(slot));
      for (let at = slot * SLOT; at < end; at += size) {
        if (isIntact(memory.subarray(at, Math.min(end, at + size)))) good++;
        else damaged++;
      }
    }
    if (performance.now() < next) continue;
    next = performance.now() + 500;
    console.log(JSON.stringify({ good, damaged }));
  }
}

/** Command line of the program. */
export function flowLine(...args: string[]): string[] {
  const program = new URL(import.meta.url).pathname;
  return [Deno.execPath(), "run", "-q", "--no-check", "-A", program, ...args];
}

/** The last counts that a receiver printed. */
export function lastCounts(stdout: string): FlowCounts {
  const lines = stdout.split("\n").slice(0, -1).filter((line) => line.startsWith("{"));
  return JSON.parse(lines.at(-1) ?? '{"good":0,"damaged":0}');
}

if (import.meta.main) {
  const [mode, address = "", seconds, rate] = Deno.args;
  if (mode === "send") await send(address, Number(seconds), Number(rate));
  else receive();
}
