/**
 * Doctor's look at `rp_filter`: with 1 the kernel drops what comes in by another device than the one that leads back to its source. It
 * is asked itself what it would drop.
 *
 * @module
 */
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import { type Link, listLinks } from "../../../ffi/rtnl/link.ts";
import { getRoute, type RouteLookup } from "../../../ffi/rtnl/route_lookup.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import { nthAddress } from "../../base/address.ts";
import type { ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { type Underlay, waysOf } from "../../overlay/underlay.ts";
import { type Finding, ok, warn } from "./check.ts";

/** What the check looks at. */
export interface RpFilterFacts {
  readonly underlay: Underlay | undefined;
  /** How many devices lead to the rest of the world. */
  readonly ways: number;
  readonly config: ClusterConfig | undefined;
  readonly leases: readonly Lease[];
  /** What the agent wrote down, if this host has joined. */
  readonly state: NodeState | undefined;
}

/** A packet of another host's, for people and for the kernel. */
export interface Arrival {
  readonly what: string;
  /** Name of the device that it comes in by. */
  readonly device: string;
  readonly src: string;
  readonly dst: string;
  /** What else helps than a looser filter. */
  readonly otherwise?: string;
}

/** As many peers are asked for. */
const ENOUGH = 200;

/** What comes in from other hosts of a cluster. Pure. */
export function arrivals({ underlay, leases, state }: RpFilterFacts): Arrival[] {
  if (state === undefined || underlay === undefined) return [];
  const peers = leases.filter(({ nodeId, agentId, family }) =>
    nodeId !== state.nodeId && agentId !== "" && family === 4
  ).slice(0, ENOUGH);
  const [iface = underlay.name] = waysOf(underlay);
  const container = ({ subnet }: Pick<Lease, "subnet">) => nthAddress(subnet, 2);
  return peers.flatMap((peer): Arrival[] => [
    {
      what: `what "${peer.nodeName}" sends from ${peer.publicIp}`,
      device: iface,
      src: peer.publicIp,
      dst: underlay.address,
    },
    {
      what: `packets of containers on "${peer.nodeName}" to those of this host`,
      device: state.device ?? iface,
      src: container(peer),
      dst: container(state),
    },
    // With masquerading they come from the host's own address. Whether that host has it is not known here; mostly all have it, or none.
    ...(state.ipMasq ? [] : [{
      what:
        `packets of containers on "${peer.nodeName}" to this host's own address ${underlay.address}`,
      device: iface,
      src: container(peer),
      dst: underlay.address,
      otherwise: "join all hosts with --ip-masq",
    }]),
  ]);
}

/** The value that counts: the greater of the device's and of that of all; 1 is strict, 2 loose. */
export function effective(all: string | undefined, own: string | undefined): number {
  return Math.max(Number(all ?? 0), Number(own ?? 0));
}

/** Whether the reverse path filter loses something. */
export function rpFilter(facts: RpFilterFacts): Finding {
  const { underlay, ways, config, state } = facts;
  const value = (name: string) => readSysctl(["net", "ipv4", "conf", name, "rp_filter"]);
  const names = underlay === undefined ? [] : waysOf(underlay);
  const device = state === undefined
    ? config?.backend.type === "vxlan" ? `knet.${config.backend.vni}` : undefined
    : state.device;
  if (device !== undefined) names.push(device);
  const strict = names.filter((name) => effective(value("all"), value(name)) === 1);
  if (strict.length === 0) return ok("not strict");
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  for (const arrival of arrivals(facts)) {
    if (!strict.includes(arrival.device)) continue;
    const { what, src, dst, device, otherwise } = arrival;
    const iif = links.find(({ name }: Link) => name === device)?.index;
    if (iif === undefined || !refused(rtnl, { src, dst, iif })) continue;
    const loose = `sysctl -w net.ipv4.conf.${device}.rp_filter=2`;
    return warn(
      `strict on ${device}, and the way back to their source is another: ${what} are dropped`,
      otherwise === undefined ? loose : `${loose}, or ${otherwise}`,
    );
  }
  const list = strict.join(", ");
  if (ways > 1) {
    return warn(
      `strict on ${list}, and default routes lead out by ${ways} interfaces: packets of peers that come in by the other one are dropped`,
      `sysctl -w net.ipv4.conf.${strict[0]}.rp_filter=2`,
    );
  }
  const tunnel = config !== undefined && config.backend.type !== "host-gw";
  return ok(
    state === undefined && tunnel
      ? `strict on ${list}: containers of other hosts reach this host's own addresses with --ip-masq only`
      : `strict on ${list}, which loses nothing here`,
  );
}

/** Whether the kernel drops it for its source. */
function refused(rtnl: ReturnType<typeof openRtnl>, lookup: RouteLookup): boolean {
  try {
    getRoute(rtnl, lookup);
    return false;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return error.code === "EXDEV" || error.code === "EINVAL"; // Linux before and since 6.13.
  }
}
