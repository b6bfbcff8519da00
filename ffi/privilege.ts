/**
 * What this process may do, judged by capabilities: user id 0 without them may do nothing to the
 * network, and another user id with them may.
 *
 * @module
 */
import { readSmallFile } from "./file.ts";

/** Bit numbers of linux/capability.h for those that knet has a use for. */
const BITS = {
  dacOverride: 1,
  netBindService: 10,
  netAdmin: 12,
  netRaw: 13,
  sysModule: 16,
  sysPtrace: 19,
  sysAdmin: 21,
} as const;

/** A capability that knet has a use for. */
export type Capability = keyof typeof BITS;

/** The capabilities in effect. */
export type Capabilities = Readonly<Record<Capability, boolean>>;

/**
 * Reads the effective capabilities out of the text of a /proc/PID/status (proc(5), `CapEff`).
 *
 * @throws {SyntaxError} if the text has no such line.
 */
export function parseCapabilities(status: string): Capabilities {
  const hex = status.match(/^CapEff:\s*([0-9a-fA-F]+)$/m)?.[1];
  if (hex === undefined) throw new SyntaxError("Cannot read capabilities: no CapEff line");
  const mask = BigInt(`0x${hex}`);
  const entries = Object.entries(BITS).map((
    [name, bit],
  ) => [name, (mask >> BigInt(bit) & 1n) === 1n]);
  return Object.fromEntries(entries) as Capabilities;
}

/**
 * The capabilities of the calling thread. Without /proc there are none to be seen, and none is
 * assumed.
 */
export function capabilities(): Capabilities {
  return parseCapabilities(readSmallFile("/proc/thread-self/status") ?? "CapEff:\t0\n");
}

/** The name that manuals use, `CAP_NET_ADMIN` for `netAdmin`. */
export function capabilityName(capability: Capability): string {
  return `CAP_${capability.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/**
 * Which of the capabilities that something needs are not in effect.
 *
 * @returns their names in the order given (`CAP_NET_ADMIN`), nothing if all are there.
 */
export function missingCapabilities(
  needed: readonly Capability[],
  held: Capabilities = capabilities(),
): string[] {
  return needed.filter((capability) => !held[capability]).map(capabilityName);
}
