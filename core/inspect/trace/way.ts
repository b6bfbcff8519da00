/**
 * The middle of the way: this host's routing, the tunnel's tables, and the packet around the packet.
 *
 * @module
 */
import { NUD_FAILED, NUD_PERMANENT } from "../../../ffi/linux/neighbour.ts";
import { RT_TABLE_MAIN } from "../../../ffi/linux/rtnetlink.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { listFdb } from "../../../ffi/rtnl/fdb.ts";
import { getLink, type Link } from "../../../ffi/rtnl/link.ts";
import { listNeighbours } from "../../../ffi/rtnl/neighbour.ts";
import type { Route } from "../../../ffi/rtnl/route.ts";
import { getRoute } from "../../../ffi/rtnl/route_lookup.ts";
import { prefixContains } from "../../base/address.ts";
import type { Lease } from "../../cluster/lease.ts";
import { KNET_PROTOCOL } from "../../kernel/kind.ts";
import { broken, doubtful, fine, neighbourText, routeText, type TraceStep } from "./step.ts";

const AGENT = "The agent puts it back: knet join (knet status shows whether one runs)";

/** The route that the kernel takes, or why there is none. */
export interface Routed {
  readonly step: TraceStep;
  readonly route?: Route;
  readonly link?: Link;
}

/** Name of the device that the kernel would send a packet by, before anything is judged; undefined: by none. */
export function deviceOut(
  rtnl: NetlinkSocket,
  packet: { readonly src: string; readonly dst: string; readonly iif: number },
): string | undefined {
  try {
    return getLink(rtnl, getRoute(rtnl, packet).ifindex ?? 0)?.name;
  } catch (error) {
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
}

/**
 * The kernel's own decision about a packet that came in by a device.
 *
 * @param peer lease of the destination's host; undefined: there is none, or it is this host.
 * @param own Destination of knet's route to it.
 */
export function routeStep(
  rtnl: NetlinkSocket,
  packet: { readonly src: string; readonly dst: string; readonly iif: number },
  peer: Lease | undefined,
  own = peer?.subnet,
): Routed {
  let route: Route;
  try {
    route = getRoute(rtnl, { ...packet, entry: true });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return { step: refusal(rtnl, packet, error.code) };
  }
  const link = getLink(rtnl, route.ifindex ?? 0);
  const text = routeText(route, link?.name ?? "?");
  if (peer !== undefined && route.table !== RT_TABLE_MAIN && route.protocol !== KNET_PROTOCOL) {
    // Policy routing, as VPNs have it: where that leads is their business, and may be where it should.
    const detail = `a rule takes it by table ${route.table}, past knet's route to ${own}`;
    const remedy = "Is that meant? See ip rule, and knet ping for whether it arrives";
    return { step: doubtful("route", `${detail}, to ${link?.name ?? "?"}`, remedy, text) };
  }
  if (peer !== undefined && route.protocol !== KNET_PROTOCOL) {
    if (!prefixContains(own!, route.dst)) {
      const detail = `no route of its own leads to ${own}: the packet would go astray`;
      return { step: broken("route", detail, AGENT, text) };
    }
    // Where another's route leads is its business, and may be where it should.
    const detail = `the route to ${route.dst} is not knet's, and leads to ${link?.name ?? "?"}`;
    const remedy = "Is that meant? Else remove that route; the agent puts its own";
    return { step: doubtful("route", detail, remedy, text) };
  }
  if (peer !== undefined && route.dst !== own) {
    const detail = `the route to ${route.dst} is not that of "${peer.nodeName}", ${own}`;
    return { step: broken("route", detail, AGENT, text) };
  }
  if (link === undefined || !link.up) {
    return {
      step: broken("route", `the route's device ${link?.name ?? "?"} is not up`, AGENT, text),
    };
  }
  const via = route.gateway === undefined ? link.name : `${route.gateway} on ${link.name}`;
  return { step: fine("route", `is routed to ${via}`, text), route, link };
}

/** Newer kernels give one code for a source that they refuse and for a route that leads nowhere (a blackhole). */
function refusal(
  rtnl: NetlinkSocket,
  { src, dst }: { readonly src: string; readonly dst: string },
  code: string,
): TraceStep {
  const nowhere = code === "EACCES" || code === "EINVAL" && refuses(rtnl, dst);
  if (nowhere) {
    return broken(
      "route",
      `a route or rule refuses packets to ${dst} (${code})`,
      "Look at ip rule, and at blackhole and prohibit in ip route show table all",
    );
  }
  if (code !== "EXDEV" && code !== "EINVAL") {
    return broken("route", `no route to ${dst} (${code})`, AGENT);
  }
  return broken(
    "route",
    `the kernel refuses the source ${src} on this device (${code})`,
    "Look at net.ipv4.conf.*.rp_filter, and at the address of the bridge",
  );
}

/** Whether this host's own packets are refused too. */
function refuses(rtnl: NetlinkSocket, dst: string): boolean {
  try {
    getRoute(rtnl, { dst });
    return false;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return error.code === "EINVAL";
  }
}

/** Neighbour, FDB entry and device of a VXLAN tunnel; the last step is broken if one of them is. */
export function vxlanSteps(
  rtnl: NetlinkSocket,
  link: Link,
  gateway: string,
  peer: Lease,
): TraceStep[] {
  const neighbour = listNeighbours(rtnl, { ifindex: link.index })
    .find((one) => one.dst === gateway);
  if (neighbour?.mac === undefined || (neighbour.state & NUD_PERMANENT) === 0) {
    const detail = `the next hop ${gateway} has no permanent neighbour entry on ${link.name}`;
    const entry = neighbour && neighbourText(neighbour, link.name);
    return [broken("neighbour", detail, AGENT, entry)];
  }
  const { mac } = neighbour;
  const steps = [
    fine("neighbour", `${gateway} is behind ${mac}`, neighbourText(neighbour, link.name)),
  ];
  if (peer.backendData.mac !== mac) {
    const detail = `${mac} is not the address of "${peer.nodeName}", ${peer.backendData.mac}`;
    return [broken("neighbour", detail, AGENT, neighbourText(neighbour, link.name))];
  }
  const entry = listFdb(rtnl, { ifindex: link.index }).find((one) => one.mac === mac);
  if (entry?.dst === undefined) {
    return [...steps, broken("fdb", `${link.name} has no forwarding entry for ${mac}`, AGENT)];
  }
  const text = `${mac} dev ${link.name} dst ${entry.dst} self permanent`;
  if (entry.dst !== peer.publicIp) {
    const detail = `${mac} is sent to ${entry.dst}, but "${peer.nodeName}" is ${peer.publicIp}`;
    return [...steps, broken("fdb", detail, AGENT, text)];
  }
  return [...steps, fine("fdb", `frames for ${mac} go to ${entry.dst}`, text)];
}

/** What goes over the underlay: the tunnel's packet, or the packet itself where there is no tunnel. */
export function outerStep(
  rtnl: NetlinkSocket,
  peer: Lease,
  outer: {
    readonly what: string;
    readonly src?: string;
    /** Device that it has to leave by, or VRF that it is in: that has a table of its own. */
    readonly oif?: number;
    readonly bytes: number;
  },
): TraceStep {
  let route: Route;
  try {
    route = getRoute(rtnl, {
      dst: peer.publicIp,
      ...(outer.src !== undefined && { src: outer.src }),
      ...(outer.oif !== undefined && { oif: outer.oif }),
    });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return broken(
      "outer",
      `this host has no route to ${peer.publicIp} (${error.code})`,
      "Repair the underlay: ip route get " + peer.publicIp,
    );
  }
  const link = getLink(rtnl, route.ifindex ?? 0);
  const via = route.gateway === undefined ? "" : ` via ${route.gateway}`;
  const text = `${peer.publicIp}${via} dev ${link?.name ?? "?"} src ${route.prefSrc ?? outer.src}`;
  if (link === undefined || !link.up || !link.carrier) {
    const state = link?.up ? "has no carrier" : "is down";
    return broken("outer", `${link?.name ?? "its device"} ${state}`, "Repair the underlay", text);
  }
  if (link.mtu < outer.bytes) {
    return broken(
      "outer",
      `packets of the full MTU have ${outer.bytes} bytes, ${link.name} takes ${link.mtu}`,
      "Set --mtu in the cluster's configuration to what passes, less the encapsulation",
      text,
    );
  }
  const hop = listNeighbours(rtnl, { ifindex: link.index })
    .find((one) => one.dst === (route.gateway ?? peer.publicIp));
  if (hop !== undefined && (hop.state & NUD_FAILED) !== 0) {
    return broken(
      "outer",
      `${hop.dst} does not answer on ${link.name}`,
      `Is "${peer.nodeName}" up, and on this link?`,
      neighbourText(hop, link.name),
    );
  }
  return fine("outer", `${outer.what}, by ${link.name}`, text);
}
