/**
 * Rules of the cluster's configuration that concern one value of it.
 *
 * @module
 */
import { formatPrefix, type Prefix } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { whyNoNetwork } from "../base/special_address.ts";

/** Seconds. A longer one is a mistake, and its end no date. */
const LONGEST_TTL = 10 * 365 * 86_400;

/** The error about a value of the configuration; exit code 2. */
export function wrong(what: string, state: string, remedy: string): KnetError {
  return new KnetError(`Cannot use ${what}: ${state}`, { exitCode: 2, remedy });
}

/**
 * Checks a network.
 *
 * @param what Which one it is.
 * @throws {KnetError} exit code 2 if no network of a cluster can be there.
 */
export function checkNetwork(what: string, flag: string, prefix: Prefix): void {
  const text = formatPrefix(prefix);
  const state = prefix.length < 8 ? "its length is below /8" : whyNoNetwork(text);
  if (state !== undefined) throw wrong(`${what} "${text}"`, state, `Choose another ${flag}`);
}

/**
 * Checks the life of a lease.
 *
 * @param leaseTtl Seconds.
 * @throws {KnetError} exit code 2 if it is none.
 */
export function checkTtl(leaseTtl: number): void {
  if (leaseTtl >= 1 && leaseTtl <= LONGEST_TTL) {
    if (Number.isInteger(leaseTtl)) return;
    throw wrong(
      `lease TTL ${leaseTtl}`,
      "it is no whole number of seconds",
      "Choose whole seconds",
    );
  }
  const [state, other] = leaseTtl > 1
    ? ["it is over ten years", "shorter"]
    : ["it is under a second", "longer"];
  throw wrong(`lease TTL ${leaseTtl}`, state, `Choose a ${other} one`);
}
