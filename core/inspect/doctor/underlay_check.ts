/**
 * Doctor's look at the host's network: underlay, MTU, rival devices and sockets, routes, sysctls.
 *
 * @module
 */
import { readSmallFile } from "../../../ffi/file.ts";
import { listAddresses } from "../../../ffi/rtnl/address.ts";
import { type Link, listLinks } from "../../../ffi/rtnl/link.ts";
import { listRoutes, type Route } from "../../../ffi/rtnl/route.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import { backendOf } from "../../overlay/backend/backends.ts";
import type { ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { onSameLink } from "../../overlay/same_link.ts";
import {
  type ClusterNetworks,
  type OtherRoute,
  otherRoutes,
  wideRouteWarning,
} from "../../overlay/other_routes.ts";
import { RT_TABLE_MAIN } from "../../../ffi/linux/rtnetlink.ts";
import { chooseUnderlay, type Underlay } from "../../overlay/underlay.ts";
import { type DoctorCheck, examine, fail, type Finding, ok, skip, warn } from "./check.ts";

/** Other devices that own the cluster's VNI and port. Pure. */
export function vxlanRivals(links: readonly Link[], config: ClusterConfig): Link[] {
  const { backend } = config;
  if (backend.type !== "vxlan") return [];
  return links.filter((link) =>
    link.name !== `knet.${backend.vni}` && link.vxlan?.port === backend.port &&
    (link.vxlan.vni === backend.vni || link.vxlan.external === true)
  );
}

/** Routes of others that overlap a network of the cluster, those in the way first. Pure. */
export function overlappingRoutes(
  routes: readonly Route[],
  links: readonly Link[],
  cluster: ClusterNetworks,
): OtherRoute[] {
  return otherRoutes(routes, links, cluster, (device) => /^(knet|cni)/.test(device));
}

/** Whether there is a UDP socket on a port, by the text of /proc/net/udp. A VXLAN device's is among them. Pure. */
export function udpPortTaken(table: string, port: number): boolean {
  return table.split("\n").slice(1).some((line) => {
    const local = line.trim().split(/\s+/)[1] ?? "";
    return parseInt(local.slice(local.lastIndexOf(":") + 1), 16) === port;
  });
}

/** Hosts that the host-gw backend cannot reach from here, this one left out. Pure. */
export function peersOffLink(
  config: ClusterConfig,
  leases: readonly Lease[],
  underlay: Underlay,
): Lease[] {
  if (config.backend.type !== "host-gw") return [];
  return leases.filter(({ agentId, publicIp }) =>
    agentId !== "" && publicIp !== underlay.publicIp && !onSameLink(underlay, publicIp)
  );
}

/** What the checks look at. */
export interface NetworkFacts {
  readonly config: ClusterConfig | undefined;
  readonly leases: readonly Lease[];
  /** What the agent wrote down, if this host has joined. */
  readonly state: NodeState | undefined;
  readonly agentRuns: boolean;
}

/** Underlay, forwarding, rp_filter, and with a cluster's configuration what contradicts it. */
export async function networkChecks(facts: NetworkFacts): Promise<DoctorCheck[]> {
  let underlay: Underlay | undefined;
  const checks = [
    await examine("underlay", () => {
      underlay = findUnderlay(facts.state);
      return ok(`${underlay.address} on ${underlay.name}, MTU ${underlay.mtu}`);
    }),
    await examine(
      "forwarding",
      () =>
        readSysctl("net.ipv4.ip_forward") === "1"
          ? ok("net.ipv4.ip_forward is 1")
          : ok("net.ipv4.ip_forward is 0; knet join sets it"),
    ),
    await examine("rp_filter", () => rpFilter(underlay, facts.config)),
  ];
  const { config } = facts;
  if (config === undefined) return checks;
  return [
    ...checks,
    await examine("MTU", () => mtu(config, underlay, facts.state)),
    await examine("peers on the link", () => onLink(config, facts.leases, underlay)),
    await examine("VNI and port", () => vniAndPort(config, facts.agentRuns)),
    await examine("routes", () => routes(config)),
  ];
}

function findUnderlay(state: NodeState | undefined): Underlay {
  using rtnl = openRtnl();
  const tables = {
    links: listLinks(rtnl),
    addresses: listAddresses(rtnl),
    routes: listRoutes(rtnl, { table: RT_TABLE_MAIN }),
  };
  const iface = state?.iface;
  return chooseUnderlay(tables, { family: 4, ...(iface !== undefined && { iface }) });
}

/** The kernel takes the stricter of both: 1 is strict, 2 loose. */
function rpFilter(underlay: Underlay | undefined, config: ClusterConfig | undefined): Finding {
  const value = (name: string) =>
    Number(readSysctl(["net", "ipv4", "conf", name, "rp_filter"]) ?? 0);
  const names = underlay === undefined ? [] : [underlay.name];
  if (config?.backend.type === "vxlan") names.push(`knet.${config.backend.vni}`);
  const strict = names.filter((name) => Math.max(value("all"), value(name)) === 1);
  if (strict.length === 0) return ok("not strict");
  using rtnl = openRtnl();
  const roots = listRoutes(rtnl, { family: 4, table: RT_TABLE_MAIN }).filter(({ dst }) =>
    dst === "0.0.0.0/0"
  );
  const ways = new Set(roots.map(({ ifindex }) => ifindex)).size;
  if (ways < 2) return ok(`strict on ${strict.join(", ")}, which suits hosts with one way out`);
  return warn(
    `strict on ${
      strict.join(", ")
    }, and default routes lead out by ${ways} interfaces: packets of peers that come in by the other one are dropped`,
    `sysctl -w net.ipv4.conf.${strict[0]}.rp_filter=2`,
  );
}

function mtu(
  config: ClusterConfig,
  underlay: Underlay | undefined,
  state: NodeState | undefined,
): Finding {
  if (underlay === undefined) return skip("there is no underlay");
  const overhead = backendOf(config.backend).overhead(4);
  const room = underlay.mtu - overhead;
  const wanted = config.backend.mtu ?? room;
  const sum = `${underlay.name} takes ${underlay.mtu} bytes, the encapsulation ${overhead}`;
  if (wanted > room) {
    return fail(
      `the cluster's MTU is ${wanted}, but ${sum}: full packets are lost`,
      `Raise the MTU of ${underlay.name}, or set the cluster's --mtu to ${room} or less`,
    );
  }
  if (room < 576) {
    return fail(`${room} bytes are left: ${sum}`, `Raise the MTU of ${underlay.name}`);
  }
  if (state !== undefined && state.mtu !== wanted) {
    return warn(
      `this host works with ${state.mtu}, and should with ${wanted}`,
      "Restart the agent, and attach the containers again",
    );
  }
  return ok(`${wanted}; ${sum}`);
}

function onLink(
  config: ClusterConfig,
  leases: readonly Lease[],
  underlay: Underlay | undefined,
): Finding {
  if (config.backend.type !== "host-gw") return ok(`${config.backend.type} needs none`);
  if (underlay === undefined) return skip("there is no underlay");
  const away = peersOffLink(config, leases, underlay);
  if (away.length === 0) return ok("host-gw reaches all");
  const names = away.map((lease) => `${lease.nodeName} (${lease.publicIp})`).join(", ");
  return warn(
    `host-gw has no route to ${names}`,
    "Put these hosts on the same link, or use the backend vxlan",
  );
}

function vniAndPort(config: ClusterConfig, agentRuns: boolean): Finding {
  const { backend } = config;
  if (backend.type === "host-gw") return ok("host-gw uses none");
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  const [rival] = vxlanRivals(links, config);
  if (rival !== undefined) {
    return fail(
      `"${rival.name}" owns them`,
      "Remove that device, or give the cluster another --vni or --port",
    );
  }
  // The agent's own socket, with the udp backend.
  if (backend.type === "udp" && agentRuns) return ok(`the agent has UDP port ${backend.port}`);
  // VXLAN devices share one socket of the kernel, which looks like a process's.
  if (links.some(({ vxlan }) => vxlan?.port === backend.port)) return ok("nobody else has them");
  const tables = ["udp", "udp6"].map((name) =>
    readSmallFile(`/proc/thread-self/net/${name}`) ?? ""
  );
  if (tables.some((table) => udpPortTaken(table, backend.port))) {
    return fail(
      `a process has a socket on UDP port ${backend.port}`,
      `See which: ss -lunp sport = :${backend.port}. End it, or give the cluster another --port`,
    );
  }
  return ok("nobody else has them");
}

function routes(config: ClusterConfig): Finding {
  using rtnl = openRtnl();
  const others = overlappingRoutes(listRoutes(rtnl, { family: 4 }), listLinks(rtnl), config);
  const [worst] = others;
  if (worst === undefined) return ok(`no other route overlaps ${config.network}`);
  if (worst.inTheWay) {
    return fail(
      `the route ${worst.text} overlaps ${worst.network}`,
      "Remove that route, or choose another network for the cluster",
    );
  }
  return warn(
    [...new Set(others.map(wideRouteWarning))].join("; "),
    "Nothing, if that is meant: knet's own routes are more specific and come first",
  );
}
