/**
 * What an agent remembers of its services from one start to the next: the kernel keeps the rules meanwhile, and an agent that knew
 * less than its predecessor would rewrite them. Kept in the state directory, which a reboot empties as it does the kernel.
 *
 * @module
 */
import { messageOf } from "../base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import type { FinishedDrain } from "./drains.ts";

/** What is kept. */
export interface ServiceMemory {
  readonly version: 1;
  /** Drains that have ended on this host. */
  readonly drained: readonly FinishedDrain[];
  /** Keys of checks that fail. */
  readonly down: readonly string[];
}

/** Nothing remembered. */
export const NO_MEMORY: ServiceMemory = { version: 1, drained: [], down: [] };

/** Reads the memory; empty if there is none or it makes no sense. */
export function readMemory(path: string, warn: (sentence: string) => void): ServiceMemory {
  try {
    const text = readTextIfPresent(path);
    if (text === undefined) return NO_MEMORY;
    const memory = JSON.parse(text) as ServiceMemory;
    if (memory.version !== 1) throw new TypeError(`unknown version ${memory.version}`);
    if (!Array.isArray(memory.drained) || !Array.isArray(memory.down)) {
      throw new TypeError("it has no lists");
    }
    return memory;
  } catch (error) {
    warn(`Cannot use "${path}": ${messageOf(error)}`);
    return NO_MEMORY;
  }
}

/** Keeps the memory. */
export function writeMemory(path: string, memory: ServiceMemory): void {
  writeFileAtomically(path, JSON.stringify(memory), 0o600);
}
