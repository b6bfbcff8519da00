/**
 * Addresses of this host's subnet that knet gave to a runtime which makes its interfaces itself: Docker's bridge driver asks for nothing
 * but addresses. They stand beside the book of containers, under the same lock, and are of one boot, as it is.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { KnetError, messageOf } from "../base/error.ts";
import { fileVersion, readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import type { BookPlace } from "./addresses.ts";

/** An address that a runtime holds. */
export interface HeldAddress {
  /** Without prefix length. */
  readonly address: string;
  /** `docker`. */
  readonly runtime: string;
}

const HELD: v.GenericSchema<unknown, { bootId: string; held: HeldAddress[] }> = v.looseObject({
  bootId: v.string(),
  held: v.array(v.looseObject({ address: v.string(), runtime: v.string() })),
});

const heldFile = (dataDir: string) => join(dataDir, "held.json");

/** Another string after every change of what runtimes hold, at the cost of a stat. */
export function heldVersion(dataDir: string): string {
  return fileVersion(heldFile(dataDir));
}

/**
 * Reads what runtimes hold; nothing, if it is of an earlier boot.
 *
 * @throws {KnetError} if the file cannot be read or is not what knet wrote.
 */
export function readHeld({ dataDir, bootId }: BookPlace): HeldAddress[] {
  const path = heldFile(dataDir);
  const text = readTextIfPresent(path);
  if (text === undefined) return [];
  try {
    const all = parseShape(HELD, text);
    return all.bootId === bootId ? all.held : [];
  } catch (error) {
    // Going on without it would give out addresses that are in use.
    throw new KnetError(
      `Cannot read the runtimes' addresses: "${path}" is not what knet wrote: ${messageOf(error)}`,
      { remedy: `End this host's containers or reboot, then remove "${path}"`, cause: error },
    );
  }
}

/** Writes what runtimes hold. The caller holds the book's lock. */
export function writeHeld({ dataDir, bootId }: BookPlace, held: readonly HeldAddress[]): void {
  const text = JSON.stringify({ bootId, held }, null, 2) + "\n";
  writeFileAtomically(heldFile(dataDir), text, 0o600, 0o700);
}
