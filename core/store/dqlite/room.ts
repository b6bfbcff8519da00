/**
 * Whether a replica has room to write. Pure.
 *
 * The library allocates its log in pieces of 8 MiB, three ahead. A write that finds no room leaves it in a state where it takes nothing any
 * more, room or not, and votes nevertheless: so a node is stopped before, and runs again when there is room.
 *
 * @module
 */
import type { Room } from "../../../ffi/file_system.ts";

const MIB = 1 << 20;
/** With less a node stops, and with less does one that has data not start. */
const LEAST = 24 * MIB;
/** With so much one that was stopped runs again. */
const ENOUGH = 40 * MIB;
/** What a new one needs. */
const FIRST = 64 * MIB;

/** What a node is about to do. */
export type RoomFor = "first" | "run" | "return";

const NEEDED: Record<RoomFor, number> = { first: FIRST, run: LEAST, return: ENOUGH };

/** Why there is no room for it; undefined if there is. */
export function whyNoRoom({ bytes, readOnly }: Room, what: RoomFor): string | undefined {
  if (readOnly) return "its file system is read-only";
  const needed = NEEDED[what];
  if (bytes >= needed) return undefined;
  return `its file system has ${Math.floor(bytes / MIB)} MiB left, and ${needed / MIB} are needed`;
}
