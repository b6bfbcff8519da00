/**
 * The cluster's configuration: one row in the store, shared by all hosts.
 *
 * @module
 */
import {
  addressBits,
  addressToNumber,
  canonicalAddress,
  formatPrefix,
  nthAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixSize,
} from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { checkNetwork, checkTtl, wrong } from "./config_rules.ts";
import { readNetConf } from "./flannel.ts";

/** The way packets travel between hosts. */
export type BackendType = "vxlan" | "host-gw" | "udp";

/** VXLAN between hosts (RFC 7348). */
export interface VxlanConfig {
  readonly type: "vxlan";
  /** VXLAN network identifier, 1 to 2^24 - 1. */
  readonly vni: number;
  /** UDP destination port, 1 to 65535. */
  readonly port: number;
  /** Plain routes to peers on the same link, VXLAN to the rest. */
  readonly directRouting: boolean;
  /** Bytes; absent: the underlay's MTU less the encapsulation. */
  readonly mtu?: number;
}

/** Plain routes through the underlay. */
export interface HostGwConfig {
  readonly type: "host-gw";
  readonly mtu?: number;
}

/** Encapsulation in user space. */
export interface UdpConfig {
  readonly type: "udp";
  readonly port: number;
  readonly mtu?: number;
}

/** A backend with its options. */
export type BackendConfig = VxlanConfig | HostGwConfig | UdpConfig;

/** What all hosts of a cluster agree on. Prefixes and addresses are canonical text. */
export interface ClusterConfig {
  /** The cluster network, `10.244.0.0/16`. */
  readonly network: string;
  /** Prefix length of each host's subnet. */
  readonly subnetLen: number;
  /** Network address of the first subnet that may be leased. */
  readonly subnetMin: string;
  /** Network address of the last subnet that may be leased. */
  readonly subnetMax: string;
  readonly backend: BackendConfig;
  /** Where virtual IPs of services come from. */
  readonly serviceNetwork: string;
  /** Life of a lease that is not renewed, in seconds. */
  readonly leaseTtl: number;
}

/** What an administrator said of the cluster; the rest takes defaults. */
export interface ClusterRequest {
  readonly network?: string;
  readonly subnetLen?: number;
  readonly subnetMin?: string;
  readonly subnetMax?: string;
  readonly backend?: {
    readonly type: BackendType;
    readonly vni?: number;
    readonly port?: number;
    readonly directRouting?: boolean;
    readonly mtu?: number;
  };
  readonly serviceNetwork?: string;
  readonly leaseTtl?: number;
}

function network(what: string, text: string) {
  try {
    return parsePrefix(text);
  } catch (error) {
    throw new KnetError(messageOf(error), {
      exitCode: 2,
      remedy: `Give ${what} as ADDRESS/LENGTH, such as 10.244.0.0/16`,
      cause: error,
    });
  }
}

function backendConfig(request: NonNullable<ClusterRequest["backend"]>): BackendConfig {
  const { type, vni = 1, directRouting = false, mtu } = request;
  const port = request.port ?? (type === "udp" ? 8285 : 8472);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw wrong(`port ${port}`, "it is not between 1 and 65535", "Choose another --port");
  }
  if (!Number.isInteger(vni) || vni < 1 || vni >= 2 ** 24) {
    throw wrong(`VNI ${vni}`, "it is not between 1 and 16777215", "Choose another --vni");
  }
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 576 || mtu > 65535)) {
    throw wrong(`MTU ${mtu}`, "it is not between 576 and 65535", "Choose another --mtu");
  }
  const size = mtu === undefined ? {} : { mtu };
  switch (type) {
    case "vxlan":
      return { type, vni, port, directRouting, ...size };
    case "host-gw":
      return { type, ...size };
    case "udp":
      return { type, port, ...size };
    default:
      throw wrong(`backend "${type}"`, "there is no such backend", "Choose vxlan, host-gw or udp");
  }
}

/**
 * A whole configuration from what was said of it.
 *
 * @throws {KnetError} exit code 2 if something cannot be.
 */
export function makeClusterConfig(request: ClusterRequest): ClusterConfig {
  const whole = network("--network", request.network ?? "10.244.0.0/16");
  const text = formatPrefix(whole);
  const bits = addressBits(whole.family);
  if (whole.length < 8 || whole.length > bits - 4) {
    throw wrong(
      `network "${text}"`,
      `its length is not between /8 and /${bits - 4}`,
      "Choose a network that holds a subnet for each host",
    );
  }
  checkNetwork("network", "--network", whole);
  const subnetLen = request.subnetLen ?? Math.max(bits - 8, whole.length + 2);
  if (!Number.isInteger(subnetLen) || subnetLen < whole.length + 2 || subnetLen > bits - 2) {
    throw wrong(
      `subnet length ${subnetLen}`,
      `it is not between ${whole.length + 2} and ${bits - 2} for network ${text}`,
      "Choose another --subnet-len",
    );
  }
  const size = 1n << BigInt(bits - subnetLen);
  const bound = (flag: string, given: string | undefined, n: bigint) => {
    if (given === undefined) return nthAddress(text, n);
    const subnet = network(flag, given.includes("/") ? given : `${given}/${subnetLen}`);
    if (subnet.length !== subnetLen || !prefixContains(text, formatPrefix(subnet))) {
      throw wrong(
        `${flag} "${given}"`,
        `it is no /${subnetLen} subnet of ${text}`,
        `Choose another ${flag}`,
      );
    }
    return subnet.address;
  };
  const subnetMin = bound("--subnet-min", request.subnetMin, 0n);
  const subnetMax = bound("--subnet-max", request.subnetMax, prefixSize(text) - size);
  if (addressToNumber(subnetMin) > addressToNumber(subnetMax)) {
    throw wrong(
      `subnets ${subnetMin} to ${subnetMax}`,
      "the first is above the last",
      "Exchange --subnet-min and --subnet-max",
    );
  }
  const virtual = network("--service-network", request.serviceNetwork ?? "10.96.0.0/16");
  checkNetwork("service network", "--service-network", virtual);
  const serviceNetwork = formatPrefix(virtual);
  if (prefixesOverlap(serviceNetwork, text)) {
    throw wrong(
      `service network "${serviceNetwork}"`,
      `it overlaps the network ${text}`,
      "Choose another --service-network",
    );
  }
  const leaseTtl = request.leaseTtl ?? 86_400;
  checkTtl(leaseTtl);
  return {
    network: text,
    subnetLen,
    subnetMin,
    subnetMax,
    backend: backendConfig(request.backend ?? { type: "vxlan" }),
    serviceNetwork,
    leaseTtl,
  };
}

/** Where a configuration contradicts what was asked for, in words that show both values. */
export function differences(config: ClusterConfig, request: ClusterRequest): string[] {
  const found: string[] = [];
  const compare = (what: string, has: unknown, wanted: unknown) => {
    if (wanted !== undefined && wanted !== has) {
      found.push(`${what} is ${has ?? "not set"}, not ${wanted}`);
    }
  };
  const { backend, ...rest } = request;
  compare("backend", config.backend.type, backend?.type);
  if (found.length === 0 && backend !== undefined) {
    const has: Record<string, unknown> = { ...config.backend };
    for (const [option, wanted] of Object.entries(backend)) compare(option, has[option], wanted);
  }
  const has: Record<string, unknown> = { ...config };
  for (const [option, wanted] of Object.entries(rest)) {
    compare(
      option,
      has[option],
      typeof wanted === "string" ? canonicalText(option, wanted) : wanted,
    );
  }
  return found;
}

/** A network or bound as a configuration has it, so that two ways to write one do not count as different. */
function canonicalText(option: string, text: string): string {
  const [address = "", length] = text.split("/");
  try {
    const canonical = canonicalAddress(address);
    return length === undefined || option.startsWith("subnetM")
      ? canonical
      : `${canonical}/${length}`;
  } catch {
    return text; // Shown as it was given.
  }
}

/**
 * The configuration that flannel's net-conf.json stands for; the first subnet is skipped as flannel does.
 *
 * @param warn Told what of it has no effect, a sentence each.
 * @throws {KnetError} exit code 2 if the text is none, or names what knet does not have.
 */
export function configFromFlannel(
  text: string,
  warn: (sentence: string) => void = () => {},
): ClusterConfig {
  const { warnings, subnetMin, subnetMax, backend, ...conf } = readNetConf(text);
  const request = { ...conf, backend: { ...backend, type: backend.type as BackendType } };
  const whole = makeClusterConfig(request);
  const second = nthAddress(
    whole.network,
    1n << BigInt(addressBits(parsePrefix(whole.network).family) - whole.subnetLen),
  );
  const config = makeClusterConfig({
    ...request,
    subnetMin: subnetMin ?? second,
    ...(subnetMax !== undefined && { subnetMax }),
  });
  warnings.forEach(warn);
  return config;
}
