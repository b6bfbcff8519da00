/**
 * The other end of direct routing and tunnels: a real server has to take packets for the virtual IP as its own, without telling the
 * network that it has it. For containers of this host knet sees to that in the container's own namespace.
 *
 * Longer than others: who has to be one, what is done in a container, and when it is visited again, are one story.
 *
 * @module
 */
import { withNetns } from "../../ffi/netns.ts";
import { deleteLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { type BookPlace, bookVersion, type ContainerRecord, readBook } from "./addresses.ts";
import { reopen } from "./namespace.ts";
import { monotonicClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { deriveMac } from "../base/mac.ts";
import { isDirect, type VirtualServer } from "../services/service.ts";
import type { RealServerHost, RealServers } from "../kernel/ipvs/kernel_services_types.ts";
import type { RecordKeeper } from "../kernel/ipvs/owned_servers.ts";
import { ensureSysctls } from "../kernel/ipvs/sysctls.ts";
import { ensureTunnelEnd, releaseTunnelEnd } from "../kernel/ipvs/tunnel_end.ts";
import { addVips, ensureVipDevice, planVips, readVips, removeVips } from "../kernel/ipvs/vips.ts";

/** The device that holds virtual IPs in a container. */
export const CONTAINER_DEVICE = "knet-vip0";

/** Virtual IPs by the addresses of the real servers that have to take them; IPv4 only, as are their tunnels. */
export function directVips(servers: Iterable<VirtualServer>): Map<string, Set<string>> {
  const vips = new Map<string, Set<string>>();
  for (const server of servers) {
    if (server.family !== 4 || !isDirect(server)) continue;
    for (const { address } of server.realServers) {
      const set = vips.get(address) ?? new Set();
      vips.set(address, set.add(server.address));
    }
  }
  return vips;
}

/** Names of the services by the addresses of the real servers that they lack if these cannot take their packets. */
export function servicesBehind(servers: Iterable<VirtualServer>): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const server of servers) {
    if (server.family !== 4 || !isDirect(server)) continue;
    for (const { address } of server.realServers) {
      names.set(address, (names.get(address) ?? new Set()).add(server.service));
    }
  }
  return names;
}

/** Containers as they were when those among them that virtual IPs belong to were made real servers. */
export interface SeenContainers {
  readonly containers: readonly ContainerRecord[];
  readonly place: BookPlace;
  readonly vips: ReadonlyMap<string, ReadonlySet<string>>;
  readonly version: string;
}

/**
 * Reads which containers there are, to be compared later with those that there are then.
 *
 * @param vips see {@linkcode directVips}.
 * @throws {KnetError} if the address book cannot be read.
 */
export function seeContainers(place: BookPlace, vips: SeenContainers["vips"]): SeenContainers {
  // The version first: what is written in between is read twice, not never.
  const version = bookVersion(place.dataDir);
  return { containers: readBook(place), place, vips, version };
}

/**
 * Whether a container has come, gone or changed that is, was or has to be a real server. Costs a stat while nobody attaches or
 * detaches.
 *
 * @throws {KnetError} if the address book cannot be read.
 */
export function realServersChanged({ containers, place, vips, version }: SeenContainers): boolean {
  if (vips.size === 0 || bookVersion(place.dataDir) === version) return false;
  return realServerKeys(readBook(place), vips) !== realServerKeys(containers, vips);
}

/** A container that was made anew has another namespace, whatever it is called. */
function realServerKeys(
  containers: readonly ContainerRecord[],
  vips: SeenContainers["vips"],
): string {
  return containers.filter(({ address }) => vips.has(address))
    .map(({ netnsId, address }) => `${netnsId} ${address}`).sort().join("\n");
}

/** What was done to containers. */
export interface EquipResult {
  /** Containers that are real servers now or may still be, by the identity of their namespace. */
  readonly equipped: readonly string[];
  readonly changes: readonly string[];
  /** Sentences about those that could not be reached or lack something. */
  readonly problems: readonly string[];
}

/**
 * Gives a container these virtual IPs and no others; without any it is an ordinary container again.
 *
 * @returns what was done, in words; undefined if its namespace is not there any more.
 * @throws {SystemError | NetlinkError | KnetError} if it cannot be entered, or lacks something.
 */
export type EquipContainer = (
  container: ContainerRecord,
  vips: ReadonlySet<string>,
) => string[] | undefined;

/**
 * Makes containers of this host real servers, or ordinary containers again.
 *
 * @param equipped containers that were made real servers earlier.
 * @param equipOne see {@linkcode sparingVisits}; tests, which have no containers, give another one.
 * @param services see {@linkcode servicesBehind}.
 */
export function equipContainers(
  containers: readonly ContainerRecord[],
  vips: ReadonlyMap<string, ReadonlySet<string>>,
  equipped: readonly string[],
  equipOne: EquipContainer = equipContainer,
  services: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
): EquipResult {
  const before = new Set(equipped);
  const now = new Set<string>();
  const changes: string[] = [];
  const problems: string[] = [];
  const wanted = new Map<string, { container: ContainerRecord; vips: Set<string> }>();
  for (const container of containers) {
    const entry = wanted.get(container.netnsId) ?? { container, vips: new Set() };
    for (const vip of vips.get(container.address) ?? []) entry.vips.add(vip);
    wanted.set(container.netnsId, entry);
  }
  for (const [id, { container, vips: own }] of wanted) {
    if (own.size === 0 && !before.has(id)) continue;
    try {
      const done = equipOne(container, own);
      if (done === undefined) {
        // Where it was a real server, there is nothing left to undo.
        if (own.size > 0) problems.push(`${lacking(container, services)}: ${UNREACHABLE}`);
        continue;
      }
      if (own.size > 0) now.add(id);
      changes.push(...done.map((change) => `${change} in "${container.netns}"`));
    } catch (error) {
      // How far it came is not known: whichever way it was to go, it is tried again.
      now.add(id);
      const state = own.size > 0
        ? lacking(container, services)
        : `Container "${container.netns}" still has virtual IPs`;
      problems.push(`${state}: ${messageOf(error)}`);
    }
  }
  return { equipped: [...now], changes, problems };
}

const UNREACHABLE = "its network namespace cannot be opened, or is another one by now " +
  "(attach it again, or give it up: knet detach)";

/** Says that a container is no real server, and whose. */
function lacking(
  { netns, address }: ContainerRecord,
  services: ReadonlyMap<string, ReadonlySet<string>>,
): string {
  const names = [...services.get(address) ?? []].sort().map((name) => `"${name}"`).join(", ");
  const whose = names === "" ? "" : `Service ${names} lacks a real server, ${address}: `;
  return `${whose}Container "${netns}" cannot be a real server`;
}

function equipContainer(
  container: ContainerRecord,
  vips: ReadonlySet<string>,
): string[] | undefined {
  using namespace = reopen(container);
  return namespace &&
    withNetns(namespace.fd, () => vips.size > 0 ? equip(vips) : strip());
}

function equip(vips: ReadonlySet<string>): string[] {
  using rtnl = openRtnl();
  const changes = ensureSysctls([
    { name: "net.ipv4.conf.all.arp_ignore", value: "1" },
    { name: "net.ipv4.conf.all.arp_announce", value: "2" },
  ]);
  const desired = { device: CONTAINER_DEVICE, mac: deriveMac("vip", CONTAINER_DEVICE), vips };
  const made = ensureVipDevice(rtnl, desired);
  changes.push(...made.changes);
  const plan = planVips(desired, readVips(rtnl, CONTAINER_DEVICE));
  removeVips(rtnl, made.index, plan);
  addVips(rtnl, made.index, plan);
  changes.push(...plan.addAddresses.map((vip) => `added ${vip}`));
  return [...changes, ...ensureTunnelEnd(rtnl)];
}

function strip(): string[] {
  using rtnl = openRtnl();
  const link = getLink(rtnl, CONTAINER_DEVICE);
  if (link === undefined) return [];
  deleteLink(rtnl, link.index);
  return [`removed ${CONTAINER_DEVICE}`, ...releaseTunnelEnd(rtnl)];
}

/**
 * Milliseconds for which a container that has what it should is not visited again; less than from one reconcile of everything to the
 * next, so that each of those visits all. Nothing tells of changes in there: a socket that listened would keep the namespace alive.
 */
const TRUST = 30_000;

/**
 * Spares visits: the services change by the second, and each namespace costs a socket and several dumps of its own.
 *
 * @param equipOne what visits.
 * @returns the same, and how it is told that containers may be other ones: a new one may have the namespace's number of one that is
 * gone.
 */
export function sparingVisits(
  equipOne: EquipContainer,
): { readonly equip: EquipContainer; readonly forget: () => void } {
  const visited = new Map<string, { readonly vips: string; readonly at: number }>();
  const equip: EquipContainer = (container, vips) => {
    const id = container.netnsId;
    const before = visited.get(id);
    const now = monotonicClock();
    const text = [...vips].sort().join();
    if (before?.vips === text && now - before.at < TRUST) return [];
    visited.delete(id);
    const done = equipOne(container, vips);
    if (done !== undefined && vips.size > 0) visited.set(id, { vips: text, at: now });
    return done;
  };
  return { equip, forget: () => visited.clear() };
}

/** Makes containers of this host, and the host itself, the real servers that services want them to be, and nothing beside. */
export class RealServerKeeper implements RealServers {
  readonly #host: RealServerHost;
  readonly #record: RecordKeeper;
  readonly #visits = sparingVisits(equipContainer);
  /** Undefined while no container has to be a real server. */
  #seen: SeenContainers | undefined;
  /** Whether this host is the end of tunnels; after a start that is not known. */
  #tunnelEnd: boolean | undefined;

  constructor(host: RealServerHost, record: RecordKeeper) {
    this.#host = host;
    this.#record = record;
  }

  /**
   * Whether containers came, went or were made anew since `ensure`, so that it has something to do. To be asked every second.
   *
   * @throws {KnetError} if the address book cannot be read.
   */
  containersChanged(): boolean {
    return this.#seen !== undefined && realServersChanged(this.#seen);
  }

  /**
   * @param addresses the host's own.
   * @returns what was done, in words, and sentences about what could not be.
   */
  ensure(
    servers: readonly VirtualServer[],
    addresses: readonly string[],
  ): { changes: readonly string[]; problems: readonly string[] } {
    const vips = directVips(servers);
    const changes: string[] = [];
    const problems: string[] = [];
    const { containers } = this.#record.record;
    if (vips.size === 0 && containers.length === 0) this.#seen = undefined;
    else {
      try {
        const done = this.#equip(servers, vips, containers);
        changes.push(...done.changes);
        problems.push(...done.problems);
      } catch (error) {
        // The host itself may be one all the same.
        problems.push(`Containers cannot be real servers: ${messageOf(error)}`);
      }
    }
    const tunnelEnd = addresses.some((address) => vips.has(address));
    try {
      if (tunnelEnd) changes.push(...ensureTunnelEnd(this.#host.rtnl));
      else if (this.#tunnelEnd !== false) changes.push(...releaseTunnelEnd(this.#host.rtnl));
      this.#tunnelEnd = tunnelEnd;
    } catch (error) {
      problems.push(messageOf(error));
    }
    return { changes, problems };
  }

  #equip(
    servers: readonly VirtualServer[],
    vips: ReadonlyMap<string, ReadonlySet<string>>,
    equipped: readonly string[],
  ): EquipResult {
    const before = this.#seen?.version;
    this.#seen = seeContainers(this.#host, vips);
    if (this.#seen.version !== before) this.#visits.forget();
    const { containers } = this.#seen;
    const services = servicesBehind(servers);
    const done = equipContainers(containers, vips, equipped, this.#visits.equip, services);
    this.#record.save({ containers: done.equipped });
    return done;
  }
}

/** Makes the keeper, as {@linkcode RealServers} are given to what programs services. */
export function realServersOf(host: RealServerHost, record: RecordKeeper): RealServers {
  return new RealServerKeeper(host, record);
}
