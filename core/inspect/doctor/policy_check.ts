/**
 * Doctor asks the kernel whether the cluster's packets really go by knet's routes: policy routing (VPNs have tables of their own) and
 * VRFs lead past them, whatever the main table says.
 *
 * @module
 */
import { RT_TABLE_MAIN, RTN_LOCAL } from "../../../ffi/linux/rtnetlink.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { type Link, listLinks } from "../../../ffi/rtnl/link.ts";
import { listRoutes, type Route } from "../../../ffi/rtnl/route.ts";
import { getRoute, type RouteLookup } from "../../../ffi/rtnl/route_lookup.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { listRules, type Rule, ruleText } from "../../../ffi/rtnl/rule.ts";
import { nthAddress } from "../../base/address.ts";
import type { ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import { type NodeState, overlayWays } from "../../cluster/node_state.ts";
import { KNET_PROTOCOL } from "../../kernel/kind.ts";
import type { Service } from "../../services/service.ts";
import { type DoctorCheck, examine, fail, type Finding, ok, warn } from "./check.ts";
import { type Flow, mayMean, takerOf } from "./policy.ts";

/** What the check looks at. */
export interface PolicyFacts {
  readonly config: ClusterConfig;
  readonly leases: readonly Lease[];
  readonly services: readonly Service[];
  /** What the agent wrote down, if this host has joined. */
  readonly state: NodeState | undefined;
}

/** As many peers, and services, are asked for: who has more has the same rules for all. */
const ENOUGH = 200;

/** By which routes the cluster's packets go. */
export async function policyChecks(facts: PolicyFacts): Promise<DoctorCheck[]> {
  return [await examine("policy routing", () => policy(facts))];
}

function policy({ config, leases, services, state }: PolicyFacts): Finding {
  using rtnl = openRtnl();
  const rules = listRules(rtnl, 4);
  const links = listLinks(rtnl);
  const bridge = links.find(({ name }) => name === state?.bridge);
  if (state !== undefined && bridge !== undefined) {
    const host = { rtnl, rules, links, bridge, state };
    const taken = towardsPeers(host, leases) ?? fromPeers(host, leases) ??
      towardsServices(host, services);
    if (taken !== undefined) return taken;
  }
  const network = state?.network ?? config.network;
  const flow: Flow = {
    from: state?.subnet ?? network,
    to: network,
    iif: state?.bridge ?? "knet0",
  };
  const taker = takerOf(rules, listRoutes(rtnl, { family: 4 }), flow);
  if (taker === undefined) return ok("no rule leads past knet's routes");
  const { rule, route } = taker;
  const what = route === undefined
    ? `refuses packets to ${network}`
    : `leads packets for ${route.dst} by table ${route.table}, past knet's routes`;
  return warn(`The rule "${ruleText(rule)}" ${what}`, before(rule, network));
}

/** A rule that comes first. */
function before({ priority }: Rule, network: string, table = "main"): string {
  return priority < 2
    ? `See ip rule: give that rule a higher number, and one before it: ip rule add to ${network} lookup ${table}`
    : `Unless that is meant: ip rule add to ${network} lookup ${table} priority ${priority - 1}`;
}

interface HostFacts {
  readonly rtnl: NetlinkSocket;
  readonly rules: readonly Rule[];
  readonly links: readonly Link[];
  readonly bridge: Link;
  readonly state: NodeState;
}

/** An address of a container there, or where one could be. */
const sample = (subnet: string) => nthAddress(subnet, 2);

function peersOf({ state }: HostFacts, leases: readonly Lease[]): Lease[] {
  return leases.filter(({ nodeId, agentId, family }) =>
    nodeId !== state.nodeId && agentId !== "" && family === 4
  ).slice(0, ENOUGH);
}

function towardsPeers(host: HostFacts, leases: readonly Lease[]): Finding | undefined {
  const { state, bridge, links } = host;
  const device = links.find(({ name }) => name === state.device);
  for (const { subnet, nodeName } of peersOf(host, leases)) {
    const flow = { from: state.subnet, to: subnet, iif: bridge.name };
    const lookup = { src: sample(state.subnet), dst: sample(subnet), iif: bridge.index };
    const route = ask(host.rtnl, lookup);
    const what = `containers' packets to "${nodeName}" (${subnet})`;
    if (route === undefined) {
      for (const way of waysOf(host)) {
        const apart = vrfsApart(host, way, what);
        if (apart !== undefined) return apart;
      }
    }
    if (route === undefined || typeof route === "object" && leads(route, device)) continue;
    return taken(host, flow, route, what);
  }
  return undefined;
}

const vrfOf = (links: readonly Link[], { master }: Link) =>
  links.find(({ index, kind }) => index === master && kind === "vrf");

/** A device in a VRF and one outside it have no routes in common. */
function vrfsApart(
  { links, bridge }: HostFacts,
  device: Link | undefined,
  what: string,
): Finding | undefined {
  const [near, far] = [bridge, device].map((link) => link && vrfOf(links, link));
  if (device === undefined || near === far) return undefined;
  const [link, vrf] = near === undefined ? [device, far!] : [bridge, near];
  return fail(
    `${link.name} is in the VRF ${vrf.name}, and ${
      link === bridge ? device.name : bridge.name
    } is not: there is no route for ${what}`,
    `Take it out: ip link set ${link.name} nomaster`,
  );
}

/** Of the main table the check of the routes tells, and status of what is missing there. */
function leads(route: Route, device: Link | undefined): boolean {
  return route.protocol === KNET_PROTOCOL || route.table === RT_TABLE_MAIN ||
    device !== undefined && route.ifindex === device.index;
}

function fromPeers(host: HostFacts, leases: readonly Lease[]): Finding | undefined {
  const { state, bridge } = host;
  const [peer] = peersOf(host, leases);
  if (peer === undefined) return undefined;
  for (const device of waysOf(host)) {
    const flow = { from: state.network, to: state.subnet, iif: device.name };
    const lookup = { src: sample(peer.subnet), dst: sample(state.subnet), iif: device.index };
    const route = ask(host.rtnl, lookup);
    if (
      route === undefined || typeof route === "object" &&
        (route.ifindex === bridge.index || route.table === RT_TABLE_MAIN)
    ) continue;
    return taken(host, flow, route, `packets of other hosts' containers to those of this host`);
  }
  return undefined;
}

/** The devices by which packets of other hosts' containers come. */
function waysOf({ state, links }: HostFacts): Link[] {
  const names = overlayWays(state);
  return links.filter(({ name }) => names.includes(name));
}

function towardsServices(host: HostFacts, services: readonly Service[]): Finding | undefined {
  const { state, bridge } = host;
  const vips = new Set(services.filter(({ family }) => family === 4).map(({ vip }) => vip));
  for (const vip of [...vips].slice(0, ENOUGH)) {
    const flow = { from: state.subnet, to: `${vip}/32`, iif: bridge.name };
    const route = ask(host.rtnl, { src: sample(state.subnet), dst: vip, iif: bridge.index });
    // By the main table: it is not this host's, which the services' status tells.
    if (route === undefined) continue;
    if (
      typeof route === "object" && (route.type === RTN_LOCAL || route.table === RT_TABLE_MAIN)
    ) continue;
    return taken(host, flow, route, `containers' packets to the virtual IP ${vip}`, "local");
  }
  return undefined;
}

/** The entry that the kernel goes by, or how it refuses; undefined: there is none, or forwarding is off, which others tell of. */
function ask(rtnl: NetlinkSocket, lookup: RouteLookup): Route | "EINVAL" | "EACCES" | undefined {
  try {
    return getRoute(rtnl, { ...lookup, entry: true });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return error.code === "EINVAL" || error.code === "EACCES" ? error.code : undefined;
  }
}

function taken(
  { rules, links, bridge, state }: HostFacts,
  flow: Flow,
  route: Route | "EINVAL" | "EACCES",
  what: string,
  table?: string,
): Finding {
  const vrf = vrfOf(links, bridge);
  const to = table === undefined ? state.network : flow.to;
  if (typeof route === "string") {
    const rule = rules.find((one) => one.action >= 6 && mayMean(one, flow));
    return rule === undefined
      ? fail(
        `${what} are refused by the kernel (${route})`,
        "See ip rule and ip route show table all",
      )
      : fail(`${what} are refused by the rule "${ruleText(rule)}"`, before(rule, to, table));
  }
  const device = links.find(({ index }) => index === route.ifindex)?.name ?? "no device";
  const way = `the route ${route.dst} of table ${route.table} to ${device}`;
  const rule = rules.find((one) => one.table === route.table && mayMean(one, flow));
  if (vrf !== undefined && rule === undefined) {
    return fail(
      `${bridge.name} is in the VRF ${vrf.name}: ${what} go by ${way}`,
      `Take it out: ip link set ${bridge.name} nomaster`,
    );
  }
  if (rule === undefined) {
    return fail(`${what} go by ${way}, not by knet's`, "Remove that route, if it is not meant");
  }
  return fail(
    `${what} are led by the rule "${ruleText(rule)}" to ${way}`,
    before(rule, to, table),
  );
}
