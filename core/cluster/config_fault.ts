/**
 * What is wrong with a configuration that somebody else wrote: by the rules of `init`, and beside the leases that hosts hold. Pure.
 *
 * @module
 */
import { addressBits, familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { whyNoNetwork } from "../base/special_address.ts";
import { visibleName } from "../base/visible.ts";
import { isLeasable } from "./allocate.ts";
import { type ClusterConfig, makeClusterConfig } from "./config.ts";
import type { Lease } from "./lease.ts";

/** What is wrong with it by itself, in words that go on from "Cannot use the configuration:"; undefined if nothing is. */
export function configFault(config: ClusterConfig): string | undefined {
  let made: ClusterConfig;
  try {
    made = makeClusterConfig(config);
  } catch (error) {
    const known = [KnetError, SyntaxError, RangeError].some((kind) => error instanceof kind);
    if (!known) throw error;
    return visibleName(messageOf(error).replace(/^Cannot use /, ""), 300);
  }
  // There is one way to write each: what is written otherwise is not what other parts of knet take it for.
  const given: Record<string, unknown> = { ...config, backend: undefined, ...config.backend };
  const wanted: Record<string, unknown> = { ...made, backend: undefined, ...made.backend };
  for (const [field, value] of Object.entries(wanted)) {
    if (given[field] === value) continue;
    const said = typeof given[field] === "string" ? visibleName(given[field]) : given[field];
    return `${field} is "${said}", which knet writes "${value}"`;
  }
  return undefined;
}

/** Of a lease, what shows the configuration that it was given by. */
export type HeldSubnet = Pick<Lease, "subnet" | "nodeName" | "backend">;

/** Whether it may be the subnet of a host in some cluster. Otherwise the lease is at fault, whatever the configuration says. */
function isPlausible({ subnet }: HeldSubnet): boolean {
  try {
    const { family, length } = parsePrefix(subnet);
    return length <= addressBits(family) - 2 && whyNoNetwork(subnet) === undefined;
  } catch {
    return false;
  }
}

/** Whether a lease may have been given by a configuration. */
function agrees(config: ClusterConfig, { subnet }: HeldSubnet): boolean {
  return familyOf(subnet) === familyOf(config.network) && prefixContains(config.network, subnet) &&
    isLeasable(config, subnet);
}

/**
 * How a configuration contradicts what hosts hold; undefined if it does not. It is written once, and replaced only while no host holds
 * anything: where none of the leases fits, it was changed behind everybody's back. Where one does, the others are at fault.
 *
 * @param held Leases that hosts have taken, or some of them.
 */
export function configContradiction(
  config: ClusterConfig,
  held: readonly HeldSubnet[],
): string | undefined {
  const plausible = held.filter(isPlausible);
  const [first] = plausible;
  if (first === undefined) return undefined;
  const shown = `"${visibleName(first.nodeName)}"`;
  if (!plausible.some((lease) => agrees(config, lease))) {
    return `it leases /${config.subnetLen} subnets of ${config.network}, and hosts hold others, ` +
      `such as ${shown} ${first.subnet}`;
  }
  const { type } = config.backend;
  if (!plausible.some(({ backend }) => backend === type)) {
    return `its backend is ${type}, and that of all hosts another one, such as that of ${shown} ` +
      visibleName(first.backend);
  }
  return undefined;
}
