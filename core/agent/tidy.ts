/**
 * Giving memory back after a burst of work.
 *
 * @module
 */
import { releaseMemory } from "../../ffi/heap.ts";
import { after, type Timer } from "../base/clock.ts";

/** Work of that many entries or rows leaves enough behind to be worth a collection. */
const MANY = 1000;
/** Milliseconds: the work is over then, the kernel's notifications of it read, the snapshot written. */
const DELAY = 2000;

let planned: Timer | undefined;

/** Plans a collection if there was much work; further work puts it off. */
export function tidyAfter(amount: number): void {
  if (amount < MANY) return;
  planned?.cancel();
  planned = after(DELAY, releaseMemory, { idle: true });
}
