/**
 * The other end of direct routing and tunnels: a real server has to take packets for the virtual IP as its own, without telling the
 * network that it has it. For containers of this host knet sees to that in the container's own namespace.
 *
 * @module
 */
import { withNetns } from "../../ffi/netns.ts";
import { NetlinkError } from "../../ffi/netlink/error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { addLink, changeLink, deleteLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { readSysctl, writeSysctl } from "../../ffi/sysctl.ts";
import type { ContainerRecord } from "../container/addresses.ts";
import { reopen } from "../container/namespace.ts";
import { KnetError, messageOf } from "../error.ts";
import { deriveMac } from "../mac.ts";
import { isDirect, type VirtualServer } from "./model.ts";
import { addVips, ensureVipDevice, planVips, readVips, removeVips } from "./vips.ts";

/** The device that holds virtual IPs in a container. */
export const CONTAINER_DEVICE = "knet-vip0";
/** The kernel's own IPIP device, which takes what comes from anywhere. */
const TUNNEL_DEVICE = "tunl0";

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

/** What was done to containers. */
export interface EquipResult {
  /** Containers that are real servers now, by the identity of their namespace. */
  readonly equipped: readonly string[];
  readonly changes: readonly string[];
  /** Sentences about those that could not be reached or lack something. */
  readonly problems: readonly string[];
}

/**
 * Makes containers of this host real servers, or ordinary containers again.
 *
 * @param equipped containers that were made real servers earlier.
 */
export function equipContainers(
  containers: readonly ContainerRecord[],
  vips: ReadonlyMap<string, ReadonlySet<string>>,
  equipped: readonly string[],
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
    using namespace = reopen(container);
    if (namespace === undefined) continue;
    if (own.size > 0) now.add(id);
    try {
      const done = withNetns(namespace.fd, () => own.size > 0 ? equip(own) : strip());
      changes.push(...done.map((change) => `${change} in "${container.netns}"`));
    } catch (error) {
      problems.push(`Container "${container.netns}" cannot be a real server: ${messageOf(error)}`);
    }
  }
  return { equipped: [...now], changes, problems };
}

function equip(vips: ReadonlySet<string>): string[] {
  using rtnl = openRtnl();
  const changes = setSysctls({
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
  });
  const desired = { device: CONTAINER_DEVICE, mac: deriveMac("vip", CONTAINER_DEVICE), vips };
  const made = ensureVipDevice(rtnl, desired);
  changes.push(...made.changes);
  const plan = planVips(desired, readVips(rtnl, CONTAINER_DEVICE));
  removeVips(rtnl, made.index, plan);
  addVips(rtnl, made.index, plan, undefined);
  changes.push(...plan.addAddresses.map((vip) => `added ${vip}`));
  return [...changes, ...ensureTunnelEnd(rtnl)];
}

function strip(): string[] {
  using rtnl = openRtnl();
  const link = getLink(rtnl, CONTAINER_DEVICE);
  if (link === undefined) return [];
  deleteLink(rtnl, link.index);
  const tunnel = getLink(rtnl, TUNNEL_DEVICE);
  if (tunnel?.up) changeLink(rtnl, tunnel.index, { up: false });
  return [`removed ${CONTAINER_DEVICE}`];
}

/**
 * Makes the namespace that the thread is in take IPIP packets, from whomever.
 *
 * @returns what was done, in words.
 * @throws {KnetError} if the kernel has no IPIP.
 */
export function ensureTunnelEnd(rtnl: NetlinkSocket): string[] {
  const link = getLink(rtnl, TUNNEL_DEVICE) ?? makeTunnelDevice(rtnl);
  // The answer leaves by another device than the one by which the request came; the stricter of the two values counts.
  const all = readSysctl("net.ipv4.conf.all.rp_filter") === "0" ? "0" : "2";
  const changes = setSysctls({ [`net.ipv4.conf.${TUNNEL_DEVICE}.rp_filter`]: all });
  if (link.up) return changes;
  changeLink(rtnl, link.index, { up: true });
  return [...changes, `set ${TUNNEL_DEVICE} up`];
}

function makeTunnelDevice(rtnl: NetlinkSocket) {
  try {
    addLink(rtnl, { name: TUNNEL_DEVICE, kind: "ipip" });
  } catch (error) {
    // The module makes the device as it is loaded: then it is there, which is as good.
    const code = error instanceof NetlinkError ? error.code : "";
    if (code === "EOPNOTSUPP") {
      throw new KnetError("Cannot receive from tunnels: this kernel has no IPIP", {
        cause: error,
        remedy: "Install or load the kernel module ipip",
      });
    }
    if (code !== "EEXIST") throw error;
  }
  const link = getLink(rtnl, TUNNEL_DEVICE);
  if (link === undefined) throw new KnetError(`Cannot use device "${TUNNEL_DEVICE}": it vanished`);
  return link;
}

function setSysctls(wanted: Record<string, string>): string[] {
  const changes: string[] = [];
  for (const [name, value] of Object.entries(wanted)) {
    const current = readSysctl(name);
    if (current === undefined || current === value) continue;
    writeSysctl(name, value);
    changes.push(`set ${name} to ${value}`);
  }
  return changes;
}
