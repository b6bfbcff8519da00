/**
 * The agent's view of the underlay: chosen at the start, and looked at again whenever it may have changed. A host that has worked
 * before waits for one that is not there yet: a cable that is out, a DHCP server that is late.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { addressBits } from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import {
  chooseUnderlay,
  type Held,
  resembles,
  type Underlay,
  type UnderlayChoice,
} from "../overlay/underlay.ts";
import type { Family } from "../cluster/lease.ts";
import {
  type ClusterNetworks,
  isOwnDevice,
  otherRoutes,
  routeWarning,
} from "../overlay/other_routes.ts";
import { readUnderlayFacts } from "../overlay/underlay_facts.ts";
import type { Snapshot } from "../store/snapshot.ts";
import type { AgentOptions } from "./agent_options.ts";

const log = getLogger(["knet", "agent"]);

/** What of an underlay is not as it was: "address", if peers and store have to hear of it. */
export type UnderlayChange = "address" | "other" | undefined;

/** Compares two looks at an underlay. */
export function underlayChange(before: Underlay | undefined, now: Underlay): UnderlayChange {
  if (before?.address !== now.address || before.publicIp !== now.publicIp) return "address";
  return JSON.stringify(before) === JSON.stringify(now) ? undefined : "other";
}

const heldOf = ({ address, name, prefixLength }: Underlay): Held => ({
  address,
  name,
  prefixLength,
});

/**
 * What a host had, the dearest first: what it belongs to, and where it is meanwhile.
 *
 * @param before The same, earlier.
 * @param fresh The host has just been started.
 */
export function heldAfter(before: readonly Held[], now: Underlay, fresh: boolean): Held[] {
  const [home] = before;
  const here = heldOf(now);
  // A host that starts with another address on its interface has been given that one for good.
  const known = home !== undefined && home.name !== "";
  if (!known || (fresh && home.name === here.name && resembles(now, home))) {
    return [here];
  }
  return home.address === here.address ? [here] : [home, here];
}

/** What this host had when an agent ran last. An older knet recorded no more than the public address. */
export function heldBy(snapshot: Snapshot | undefined): readonly Held[] {
  if (snapshot === undefined) return [];
  const { publicIp, family } = snapshot.own;
  return snapshot.underlay ??
    [{ address: publicIp, name: "", prefixLength: addressBits(family) }];
}

/** How the administrator wants it chosen. */
export function choiceOf(
  { iface, publicIp }: Pick<AgentOptions, "iface" | "publicIp">,
  family: Family,
): UnderlayChoice {
  return {
    family,
    ...(iface !== undefined && { iface }),
    ...(publicIp !== undefined && { publicIp }),
  };
}

/** What an underlay is chosen and kept by. */
export interface HostUnderlayOptions {
  readonly choice: UnderlayChoice;
  /** What this host had when an agent ran last. */
  readonly held?: readonly Held[];
  /** Without an underlay it waits, and throws nothing. */
  readonly patient?: boolean;
  /** The cluster's networks, once they are known. */
  readonly cluster: () => ClusterNetworks | undefined;
  readonly bridge: string;
}

/** This host's underlay. */
export class HostUnderlay {
  readonly #rtnl: NetlinkSocket;
  readonly #options: HostUnderlayOptions;
  #held: readonly Held[];
  #now: Underlay | undefined;
  #problem: string | undefined;
  #routes: readonly string[] = [];
  #place = "";

  /**
   * @throws {KnetError} exit code 2 if what was asked for contradicts itself; exit code 3 if no interface fits or the one that does
   * has no address, unless it is patient.
   */
  constructor(rtnl: NetlinkSocket, options: HostUnderlayOptions) {
    this.#rtnl = rtnl;
    this.#options = options;
    this.#held = options.held ?? [];
    try {
      this.#choose();
    } catch (error) {
      if (!options.patient || (error instanceof KnetError && error.exitCode === 2)) throw error;
      this.#problem = messageOf(error);
    }
  }

  /** As it was when last looked at; undefined until there is one. */
  get now(): Underlay | undefined {
    return this.#now;
  }

  /** What this host had, for the next agent. */
  get held(): readonly Held[] {
    return this.#held;
  }

  /** Why there is none, or none any more: the last one stays meanwhile. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** What there is to wait for; undefined if there has been an underlay. */
  get waiting(): string | undefined {
    return this.#now === undefined && this.#problem !== undefined
      ? `Waiting for the underlay: ${this.#problem}`
      : undefined;
  }

  /** What the administrator should know: of the underlay, and of routes that have to do with the cluster's networks. */
  get warnings(): readonly string[] {
    const problem = this.waiting ?? this.#problem;
    return problem === undefined ? this.#routes : [problem, ...this.#routes];
  }

  /** Looks at it again. An interface without an address changes nothing: it may get it back. */
  look(): UnderlayChange {
    const before = this.#now;
    try {
      return underlayChange(before, this.#choose());
    } catch (error) {
      this.#problem = messageOf(error);
      return undefined;
    }
  }

  #choose(): Underlay {
    const { choice, cluster, bridge } = this.#options;
    const facts = readUnderlayFacts(this.#rtnl, choice.family);
    const networks = cluster();
    this.#routes = networks === undefined
      ? []
      : otherRoutes(facts.routes, facts.links, networks, (name) => isOwnDevice(name, bridge))
        .map(routeWarning);
    const now = chooseUnderlay(facts, choice, ...this.#held);
    this.#problem = undefined;
    this.#held = heldAfter(this.#held, now, this.#now === undefined);
    this.#now = now;
    const place = `${now.address} on ${now.name}`;
    if (place !== this.#place) log.info("Underlay is {place}", { place });
    this.#place = place;
    return now;
  }
}
