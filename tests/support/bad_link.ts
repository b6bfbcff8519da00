/**
 * A bad network: packets that the kernel routes into a TUN device are lost, held back and overtaken.
 * Kernels without netem have it, too. As a program: `bad_link.ts DEVICE LOSS REORDER`, both in percent.
 *
 * @module
 */
import { EAGAIN } from "../../ffi/errno.ts";
import { Pieces, PollSet } from "../../ffi/packet_io.ts";
import { addressOf } from "../../ffi/memory.ts";
import { openTun } from "../../ffi/tun.ts";
import type { Lab } from "./lab.ts";
import { Background } from "./exec.ts";
import { until } from "./wait.ts";

const SLOT = 65536;
const SLOTS = 64;

/** Referred to by address only: nothing but this keeps it from being collected. */
const memory = new ArrayBuffer(SLOT * SLOTS);

/** Between the two links of a lab, in the router's namespace. */
export async function spoilRouter(
  lab: Lab,
  percent: { loss: number; reorder: number },
): Promise<Background> {
  const program = new URL(import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-q", "--no-check", "-A", program];
  const process = lab.host(1).keep(
    new Background([
      ...lab.enterUnderlay,
      ...deno,
      "bad0",
      `${percent.loss}`,
      `${percent.reorder}`,
    ]),
  );
  await until("the bad link works", () => {
    if (process.ended !== undefined) throw new Error(process.stderr);
    return process.stdout.includes("ready");
  });
  await lab.runUnderlay("ip link set bad0 up");
  await lab.runUnderlay("ip route add default dev bad0 table 99");
  await lab.runUnderlay("ip rule add iif br0 lookup 99");
  await lab.runUnderlay("ip rule add iif br1 lookup 99");
  return process;
}

/** Passes packets on, badly. Never returns. */
function spoil(device: string, loss: number, reorder: number): void {
  const tun = openTun(device, { offloads: false });
  console.log("ready");
  const base = addressOf(memory);
  const poll = new PollSet(1);
  poll.set(0, tun.fd);
  const pieces = new Pieces(1);
  const free = Array.from({ length: SLOTS }, (_, index) => index);
  let held: { slot: number; length: number; after: number }[] = [];
  const write = (slot: number, length: number) => {
    pieces.only(base + slot * SLOT, length);
    pieces.write(tun.fd);
    free.push(slot);
  };
  const release = (all: boolean) => {
    const due = held.filter((one) => all || --one.after <= 0);
    held = held.filter((one) => !due.includes(one));
    for (const { slot, length } of due) write(slot, length);
  };
  while (true) {
    poll.wait(held.length > 0 ? 2 : -1);
    const slot = free.pop()!;
    pieces.only(base + slot * SLOT, SLOT);
    const length = pieces.read(tun.fd);
    if (length < 0) {
      free.push(slot);
      if (length !== -EAGAIN) throw new Error(`Cannot read from ${device}: errno ${-length}`);
      release(true);
      continue;
    }
    const fate = Math.random() * 100;
    if (fate < loss) free.push(slot);
    else if (fate < loss + reorder && free.length > 1) {
      held.push({ slot, length, after: 1 + Math.floor(Math.random() * 8) });
    } else write(slot, length);
    if (held.length > 0) release(false);
  }
}

if (import.meta.main) {
  const [device = "", loss, reorder] = Deno.args;
  spoil(device, Number(loss), Number(reorder));
}
