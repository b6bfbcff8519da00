/**
 * What an agent remembers of its services from one start to the next: the kernel keeps the rules meanwhile, and an agent that knew
 * less than its predecessor would rewrite them. Kept in the state directory, which a reboot empties as it does the kernel.
 *
 * @module
 */
import * as v from "valibot";
import { messageOf } from "../base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import type { FinishedDrain } from "./drains.ts";

/** What is kept. */
export interface ServiceMemory {
  readonly version: 1;
  /** Drains that have ended on this host. */
  readonly drained: readonly FinishedDrain[];
  /** Keys of checks that fail. */
  readonly down: readonly string[];
}

const MEMORY: v.GenericSchema<unknown, ServiceMemory> = v.looseObject({
  version: v.literal(1, ({ received }) => `unknown version ${received}`),
  drained: v.array(v.tuple([v.string(), v.string(), v.number()])),
  down: v.array(v.string()),
});

/** Nothing remembered. */
export const NO_MEMORY: ServiceMemory = { version: 1, drained: [], down: [] };

/** Reads the memory; empty if there is none or it makes no sense. */
export function readMemory(path: string, warn: (sentence: string) => void): ServiceMemory {
  try {
    const text = readTextIfPresent(path);
    if (text === undefined) return NO_MEMORY;
    return parseShape(MEMORY, text);
  } catch (error) {
    warn(`Cannot use "${path}": ${messageOf(error)}`);
    return NO_MEMORY;
  }
}

/** Keeps the memory. */
export function writeMemory(path: string, memory: ServiceMemory): void {
  writeFileAtomically(path, JSON.stringify(memory), 0o600);
}
