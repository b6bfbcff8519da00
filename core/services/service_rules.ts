/**
 * What a service may be where it is read: the rules that it is written by, but for words that only a newer knet has. Pure.
 *
 * @module
 */
import { canonicalAddress, familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import { withoutTrace } from "../base/error.ts";
import { whyNoHostAddress } from "../base/special_address.ts";
import { visibleName } from "../base/visible.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { LAST_DATE } from "../cluster/lease_rules.ts";
import { endpointOf } from "./conflicts.ts";
import {
  type Destination,
  type Service,
  type ServiceTimeouts,
  virtualServerKey,
} from "./service.ts";
import { ServiceError } from "./service_error.ts";
import {
  checkDestination,
  checkReadService,
  checkTimeouts,
  fits,
  MOST_U32,
  MOST_WEIGHT,
} from "./validate.ts";

/** What a check says, in words that go on from "Cannot use the service:"; undefined if it says nothing. */
function faultIn(check: () => void): string | undefined {
  try {
    withoutTrace(check);
    return undefined;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return error.message.replace(/^Cannot use /, "");
  }
}

/** IPv4 has one notation only, and is most of what there is. */
function isCanonical(address: string): boolean {
  return !address.includes(":") || canonicalAddress(address) === address;
}

/** Says what is wrong with a service, its destinations apart; undefined if nothing is. */
export type ServiceRules = (service: Service) => string | undefined;

/**
 * The rules for services of a cluster.
 *
 * @param config Undefined where there is none: then only what stands for itself is judged.
 */
export function serviceRules(config: ClusterConfig | undefined): ServiceRules {
  const network = config && parsePrefix(config.network);
  return (service) => {
    const { vip } = service;
    if (!isCanonical(vip)) return `virtual IP ${vip}: it is no address as knet writes it`;
    if (network?.family === familyOf(vip) && prefixContains(network, vip)) {
      return `virtual IP ${vip}: it is in the container network ${config!.network}`;
    }
    return faultIn(() => checkReadService(service));
  };
}

function within(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

type Behind = Pick<Service, "family" | "vip" | "port" | "forward">;

/** Whether a destination can be one of its service; without a word why not: a large cluster has a hundred thousand of them. */
export function destinationFits(service: Behind, one: Destination): boolean {
  const { address, port, weight, upper, lower, draining } = one;
  return within(weight, 0, MOST_WEIGHT) && within(upper, 0, MOST_U32) && within(lower, 0, upper) &&
    within(port, 1, 65_535) && address !== service.vip && fits(service, one) &&
    whyNoHostAddress(address) === undefined && isCanonical(address) &&
    (draining === undefined || draining.deadline <= LAST_DATE);
}

/** What is wrong with a destination of a service; undefined if nothing is. */
export function destinationFault(service: Behind, one: Destination): string | undefined {
  if (destinationFits(service, one)) return undefined;
  const { address } = one;
  if (!isCanonical(address)) return `${address}: it is no address as knet writes it`;
  return faultIn(() => checkDestination(service, one)) ??
    "the end of its drain lies behind the year 9999";
}

/** What is wrong with timeouts; undefined if nothing is. */
export function timeoutsFault({ tcp, tcpfin, udp }: ServiceTimeouts): string | undefined {
  return faultIn(() => checkTimeouts({ tcp, tcpfin, udp }));
}

/** A service that is left out, and the one that has its address, port and protocol. */
export interface Clash {
  readonly service: Service;
  readonly state: string;
}

/**
 * Services of which no two have one address, port and protocol. Of two that have, the one stays that was changed longer ago, then the
 * first by name.
 *
 * @returns those that stay, in their order, and those that are left out.
 */
export function withoutClashes<S extends Service>(
  services: readonly S[],
): { kept: S[]; out: Clash[] } {
  const holders = new Map<string, S>();
  let twice = false;
  for (const service of services) {
    const key = virtualServerKey({ ...service, address: service.vip });
    const other = holders.get(key);
    twice ||= other !== undefined;
    if (other === undefined || isOlder(service, other)) holders.set(key, service);
  }
  if (!twice) return { kept: [...services], out: [] };
  const kept: S[] = [];
  const out: Clash[] = [];
  for (const service of services) {
    const holder = holders.get(virtualServerKey({ ...service, address: service.vip }))!;
    if (holder === service) kept.push(service);
    else {
      const state = `"${visibleName(holder.name)}", which is older, has ${endpointOf(service)}`;
      out.push({ service, state });
    }
  }
  return { kept, out };
}

function isOlder(a: Service, b: Service): boolean {
  return a.revision === b.revision ? a.name < b.name : a.revision < b.revision;
}
