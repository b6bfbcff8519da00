/**
 * What of a snapshot may be programmed: the rules that rows of the store are read by. Pure.
 *
 * @module
 */
import { canonicalAddress, familyOf } from "../base/address.ts";
import { visibleName } from "../base/visible.ts";
import { configFault } from "../cluster/config_fault.ts";
import type { Lease } from "../cluster/lease.ts";
import { leaseRules, withoutOverlaps } from "../cluster/lease_rules.ts";
import type { Service } from "../services/service.ts";
import { NO_TIMEOUTS } from "../services/service.ts";
import {
  destinationFault,
  serviceRules,
  timeoutsFault,
  withoutClashes,
} from "../services/service_rules.ts";
import type { Snapshot } from "./snapshot.ts";

/** So much that is left out is named. */
const MOST_NAMED = 20;

/** Who is told of what is left out. */
type Tell = (what: string, state: string) => void;

/**
 * What of a snapshot can be used; undefined if that is nothing: its configuration or this host's own lease makes no sense.
 *
 * @param warn Told what is left out, a sentence each.
 */
export function usableSnapshot(
  snapshot: Snapshot,
  warn: (sentence: string) => void,
): Snapshot | undefined {
  let named = 0;
  const tell: Tell = (what, state) => {
    if (++named > MOST_NAMED) return;
    warn(`Cannot use the ${what} in the snapshot, it is left out: ${state}`);
  };
  const { config, own } = snapshot;
  const rules = leaseRules(config);
  const whole = configFault(config) ?? rules(own);
  if (whole !== undefined) {
    warn(`Cannot use the snapshot: ${whole}`);
    return undefined;
  }
  const peers = usablePeers(snapshot, tell);
  const services = snapshot.services && usableServices(snapshot, snapshot.services, tell);
  const fault = snapshot.timeouts && timeoutsFault(snapshot.timeouts);
  if (fault !== undefined) tell("timeouts of services", fault);
  if (named > MOST_NAMED) {
    warn(`Cannot use ${named - MOST_NAMED} more parts of the snapshot, they are left out, too`);
  }
  return {
    ...snapshot,
    peers,
    ...(services && { services }),
    ...(fault !== undefined && { timeouts: NO_TIMEOUTS }),
  };
}

function usablePeers({ config, own, peers }: Snapshot, tell: Tell): Lease[] {
  const rules = leaseRules(config);
  const nameOf = (lease: Lease) => `lease of node "${visibleName(lease.nodeName)}"`;
  const fit = peers.filter((lease) => {
    const isOwn = lease.nodeId === own.nodeId || lease.subnet === own.subnet;
    const state = isOwn ? "it is this host's own" : rules(lease);
    if (state !== undefined) tell(nameOf(lease), state);
    return state === undefined;
  });
  const { kept, out } = withoutOverlaps(fit);
  for (const lease of out) tell(nameOf(lease), `an older one has ${lease.subnet}`);
  return kept;
}

function isAddressOf(family: number, text: string): boolean {
  try {
    return canonicalAddress(text) === text && familyOf(text) === family;
  } catch {
    return false;
  }
}

function usableServices({ config }: Snapshot, services: readonly Service[], tell: Tell): Service[] {
  const rules = serviceRules(config);
  const nameOf = ({ name }: Service) => `service "${visibleName(name)}"`;
  const fit = services.filter((service) => {
    const { vip, family } = service;
    const state = isAddressOf(family, vip)
      ? rules(service)
      : `virtual IP ${visibleName(vip)}: it is no IPv${family} address as knet writes it`;
    if (state !== undefined) tell(nameOf(service), state);
    return state === undefined;
  }).map((service) => ({
    ...service,
    destinations: service.destinations.filter((one) => {
      const state = isAddressOf(service.family, one.address)
        ? destinationFault(service, one)
        : "it is no address of the service's family as knet writes it";
      if (state !== undefined) {
        tell(`real server ${visibleName(one.address)} of ${nameOf(service)}`, state);
      }
      return state === undefined;
    }),
  }));
  const { kept, out } = withoutClashes(fit);
  for (const { service, state } of out) tell(nameOf(service), state);
  return kept;
}
