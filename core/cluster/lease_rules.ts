/**
 * What a lease may be, where it is written and where it is read. Pure.
 *
 * @module
 */
import {
  addressBits,
  addressToNumber,
  canonicalAddress,
  familyOf,
  parsePrefix,
  prefixContains,
} from "../base/address.ts";
import { withoutTrace } from "../base/error.ts";
import { whyNoHostAddress } from "../base/special_address.ts";
import { visibleName } from "../base/visible.ts";
import { isUntaken } from "./allocate.ts";
import type { BackendType, ClusterConfig } from "./config.ts";
import type { BackendData, Family, Lease } from "./lease.ts";
import { isNodeWord } from "./node_word.ts";

const BACKENDS: readonly BackendType[] = ["vxlan", "host-gw", "udp"];

/** Ids of a boot and of an agent: nobody reads more out of them than whether they are the same. */
const ID = /^[\x21-\x7e]{0,64}$/;

/** As knet writes it; the lowest bit of the first octet would make it a group's (IEEE 802). */
const UNICAST_MAC = /^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/;

/** The end of the year 9999: beyond lies no date that can be written. Milliseconds since the epoch. */
export const LAST_DATE = 253_402_300_799_999;

/** Says what is wrong with a lease, in words that go on from "Cannot use the lease:"; undefined if nothing is. */
export type LeaseRules = (lease: Lease) => string | undefined;

/** Whether a text is the one way to write an address. */
function isCanonical(address: string): boolean {
  try {
    return withoutTrace(() => canonicalAddress(address)) === address;
  } catch {
    return false;
  }
}

/**
 * What is wrong with a public address in a cluster; undefined if nothing is. It may be in the service network, which may be a part of
 * the hosts' own.
 *
 * @param address Canonical text.
 */
export function whyNoPublicIp(address: string, config: ClusterConfig): string | undefined {
  const what = whyNoHostAddress(address);
  if (what !== undefined) return `it is ${what}`;
  const { network } = config;
  const family = familyOf(network);
  if (familyOf(address) !== family) {
    return `it is of IPv${familyOf(address)}, and the cluster network ${network} of IPv${family}`;
  }
  if (prefixContains(network, address)) return `it is in the cluster network ${network}`;
  return undefined;
}

/** What is wrong with a subnet, told without reading the configuration's bounds anew for each. */
function subnetRules(config: ClusterConfig): (subnet: string) => string | undefined {
  const { network, subnetLen, subnetMin, subnetMax } = config;
  const { family } = parsePrefix(network);
  const low = addressToNumber(subnetMin);
  const high = addressToNumber(subnetMax);
  const hosts = (1n << BigInt(addressBits(family) - subnetLen)) - 1n;
  const suffix = `/${subnetLen}`;
  return (subnet) => {
    const address = subnet.slice(0, -suffix.length);
    if (!subnet.endsWith(suffix) || address.includes("/")) return `it is no /${subnetLen}`;
    if (familyOf(address) !== family || !isCanonical(address)) {
      return `it is no IPv${family} network as knet writes it`;
    }
    const number = addressToNumber(address);
    if ((number & hosts) !== 0n) return "it has host bits set";
    if (number < low || number > high) {
      return `it is not among the subnets ${subnetMin} to ${subnetMax}`;
    }
    return undefined;
  };
}

function backendFault(lease: Lease): string | undefined {
  const { backend } = lease;
  if (!BACKENDS.includes(backend)) {
    return `its backend "${visibleName(backend)}" is none that this knet has`;
  }
  const { mac, vni }: BackendData = lease.backendData;
  if (mac !== undefined && (!UNICAST_MAC.test(mac) || mac === "00:00:00:00:00:00")) {
    return `its MAC address "${visibleName(mac)}" is none of a host`;
  }
  if (vni !== undefined && !(Number.isInteger(vni) && vni > 0 && vni < 2 ** 24)) {
    return `its VNI ${vni} is not between 1 and 16777215`;
  }
  return undefined;
}

function identityFault(lease: Lease): string | undefined {
  const { nodeId, nodeName, bootId, agentId } = lease;
  if (!isNodeWord(nodeId)) return `its node id "${visibleName(nodeId)}" is no plain name`;
  if (!isNodeWord(nodeName) && !(nodeName === "" && isUntaken(lease))) {
    return `its node name "${visibleName(nodeName)}" is no plain name`;
  }
  if (!ID.test(bootId)) return `its boot id "${visibleName(bootId)}" is none`;
  if (!ID.test(agentId)) return `its agent id "${visibleName(agentId)}" is none`;
  return undefined;
}

function dateFault({ acquired, renewed, expires }: Lease): string | undefined {
  for (const [what, at] of Object.entries({ acquired, renewed, expires })) {
    if (!(at <= LAST_DATE)) return `"${what}" lies behind the year 9999`;
  }
  return undefined;
}

/**
 * The rules for leases of a cluster.
 *
 * @param config Undefined where there is none: then only what stands for itself is judged.
 */
export function leaseRules(config: ClusterConfig | undefined): LeaseRules {
  const subnetFault = config && subnetRules(config);
  const family: Family | undefined = config && familyOf(config.network);
  return (lease) => {
    const { subnet, publicIp } = lease;
    const wrongSubnet = subnetFault?.(subnet);
    if (wrongSubnet !== undefined) return `its subnet ${visibleName(subnet)}: ${wrongSubnet}`;
    if (family !== undefined && lease.family !== family) {
      return `it is of IPv${lease.family}, and the cluster of IPv${family}`;
    }
    if (!isCanonical(publicIp)) return `its public IP "${visibleName(publicIp)}" is no address`;
    const wrongIp = config === undefined
      ? whyNoHostAddress(publicIp)
      : whyNoPublicIp(publicIp, config);
    if (wrongIp !== undefined) return `its public IP ${publicIp}: ${wrongIp}`;
    return identityFault(lease) ?? backendFault(lease) ?? dateFault(lease);
  };
}

/**
 * Leases of which no two have one subnet. Of two that have, the older stays: reservations first, then by acquisition.
 *
 * @returns those that stay, in their order, and those that are left out.
 */
export function withoutOverlaps(leases: readonly Lease[]): { kept: Lease[]; out: Lease[] } {
  const holders = new Map<string, Lease>();
  let twice = false;
  for (const lease of leases) {
    const other = holders.get(lease.subnet);
    twice ||= other !== undefined;
    if (other === undefined || isOlder(lease, other)) holders.set(lease.subnet, lease);
  }
  if (!twice) return { kept: [...leases], out: [] };
  const stays = (lease: Lease) => holders.get(lease.subnet) === lease;
  return { kept: leases.filter(stays), out: leases.filter((lease) => !stays(lease)) };
}

function isOlder(a: Lease, b: Lease): boolean {
  if (isUntaken(a) !== isUntaken(b)) return isUntaken(a);
  return a.acquired < b.acquired || (a.acquired === b.acquired && a.nodeId < b.nodeId);
}
