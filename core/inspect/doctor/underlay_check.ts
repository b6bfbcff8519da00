/**
 * Doctor's look at the host's network: underlay, MTU, rival devices and sockets, routes, sysctls.
 *
 * @module
 */
import { readSmallFile } from "../../../ffi/file.ts";
import { type Link, listLinks } from "../../../ffi/rtnl/link.ts";
import { listRoutes, type Route } from "../../../ffi/rtnl/route.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import { backendOf } from "../../overlay/backend/backends.ts";
import type { BackendConfig, ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { onSameLink } from "../../overlay/same_link.ts";
import {
  type ClusterNetworks,
  type OtherRoute,
  otherRoutes,
  routeWarning,
} from "../../overlay/other_routes.ts";
import {
  chooseUnderlay,
  isBare,
  type Underlay,
  type UnderlayFacts,
} from "../../overlay/underlay.ts";
import { readUnderlayFacts } from "../../overlay/underlay_facts.ts";
import { waysOut } from "../../overlay/way_out.ts";
import { rpFilter } from "./rp_filter_check.ts";
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
  let ways = 0;
  const checks = [
    await examine("underlay", () => {
      using rtnl = openRtnl();
      const tables = readUnderlayFacts(rtnl, 4);
      underlay = findUnderlay(tables, facts.state);
      ways = new Set(waysOut(tables, 4).flatMap(({ devices }) => devices)).size;
      return underlayFinding(tables, underlay, facts.config);
    }),
    await examine(
      "forwarding",
      () =>
        readSysctl("net.ipv4.ip_forward") === "1"
          ? ok("net.ipv4.ip_forward is 1")
          : ok("net.ipv4.ip_forward is 0; knet join sets it"),
    ),
    await examine("rp_filter", () => rpFilter({ ...facts, underlay, ways })),
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

/** The underlay as the agent has it, else as one would choose it. Pure. */
export function findUnderlay(facts: UnderlayFacts, state: NodeState | undefined): Underlay {
  if (state === undefined) return chooseUnderlay(facts, { family: 4 });
  const { iface, publicIp } = state;
  const { ifindex } = facts.addresses.find((a) => a.address === publicIp) ?? {};
  const owner = facts.links.find(({ index }) => index === ifindex);
  // An address that has moved away from the interface since: the agent is about to see it.
  const moved = owner !== undefined && owner.name !== iface && !isBare(owner);
  return chooseUnderlay(facts, { family: 4, iface, ...(!moved && { publicIp }) });
}

/** What there is to say of the underlay. Without a configuration it is taken for the one that `knet init` writes by itself. Pure. */
export function underlayFinding(
  facts: UnderlayFacts,
  underlay: Underlay,
  config?: Pick<ClusterConfig, "backend">,
): Finding {
  const { ifindex, name, address, ways = [] } = underlay;
  const link = facts.links.find(({ index }) => index === ifindex);
  const vrf = facts.links.find(({ index, kind }) => index === link?.master && kind === "vrf");
  const apart = vrf && outsideVrf(config?.backend);
  if (apart !== undefined) {
    return warn(`${address} on ${name}, which is in the VRF ${vrf!.name}: ${apart.what}`, apart.do);
  }
  const dead = [link, ...ways.map((way) => facts.links.find((l) => l.index === way.ifindex))]
    .find((one) => one !== undefined && !isBare(one) && !(one.up && one.carrier));
  if (dead !== undefined) {
    return warn(
      `${address} on ${name}, but ${dead.name} ${dead.up ? "has no carrier" : "is down"}`,
      dead.up ? "Look at the cable" : `ip link set ${dead.name} up`,
    );
  }
  const within = vrf === undefined ? "" : ` in the VRF ${vrf.name}, and the tunnel with it`;
  const by = ways.length === 0 ? "" : `, packets leave by ${ways.map((w) => w.name).join(" and ")}`;
  const other = otherWay(facts, underlay);
  const elsewhere = other === undefined
    ? ""
    : `; the way out leads by ${other} now, the tunnel stays where it is`;
  return ok(`${address} on ${name}${within}, MTU ${underlay.mtu}${by}${elsewhere}`);
}

/**
 * What of a backend stays outside of the VRF that the underlay is in. The kernel opens a VXLAN device's socket in the VRF of the
 * device that it is linked to (since 4.20), and routes its packets there.
 */
function outsideVrf(
  backend: BackendConfig = { type: "vxlan", vni: 1, port: 8472, directRouting: false },
): { readonly what: string; readonly do: string } | undefined {
  if (backend.type === "udp") {
    return {
      what: "the tunnel's packets take the main table, and what comes in by the VRF is not heard",
      do:
        "Name an interface outside of it with --iface, or lead the hosts' addresses into the VRF and set net.ipv4.udp_l3mdev_accept=1",
    };
  }
  if (backend.type === "vxlan" && !backend.directRouting) return undefined;
  return {
    what: "packets to containers come in by the VRF, whose table has no route to them",
    do:
      "Name an interface outside of it with --iface, or use the backend vxlan without --direct-routing",
  };
}

/** The interface that would be chosen today, if it is another one. */
function otherWay(facts: UnderlayFacts, { name, ways }: Underlay): string | undefined {
  try {
    const today = chooseUnderlay(facts, { family: 4 });
    return today.name === name || ways !== undefined ? undefined : today.name;
  } catch {
    return undefined; // No way out at all: whoever named an interface needs none.
  }
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
  const way = underlay.ways?.map(({ name }) => name).join(" and ") ?? underlay.name;
  const sum = `${way} takes ${underlay.mtu} bytes, the encapsulation ${overhead}`;
  if (wanted > room) {
    return fail(
      `the cluster's MTU is ${wanted}, but ${sum}: full packets are lost`,
      `Raise the MTU of ${way}, or set the cluster's --mtu to ${room} or less`,
    );
  }
  if (room < 576) {
    return fail(`${room} bytes are left: ${sum}`, `Raise the MTU of ${way}`);
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
    [...new Set(others.map(routeWarning))].join("; "),
    "Nothing, if that is meant: knet's own routes are more specific and come first",
  );
}
