/**
 * The end of the way: a container of this host, a network outside, or another host, of which its lease says what it has.
 *
 * @module
 */
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { getLink, type Link } from "../../../ffi/rtnl/link.ts";
import { isExpired } from "../../cluster/allocate.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import type { ContainerRecord } from "../../container/container.ts";
import type { ServiceFacts } from "./service.ts";
import { broken, doubtful, fine, type TraceStep } from "./step.ts";

/** What the way goes by. */
export interface Way {
  readonly state: NodeState;
  readonly from: ContainerRecord;
  readonly to: ContainerRecord | undefined;
  readonly address: string;
  readonly leases: readonly Lease[];
  /** The one of the host that has the destination. */
  readonly holder: Lease | undefined;
  /** What is at the destination, if it is a virtual IP. */
  readonly service: ServiceFacts;
  /** The store's clock, if it answers. */
  readonly now: number | undefined;
  /** Why the leases may be old. */
  readonly note: string | undefined;
}

/** Whether the bridge has a container with the address. */
export function deliveryStep(rtnl: NetlinkSocket, { state, to, address }: Way): TraceStep {
  if (address === state.gateway) {
    return fine("delivery", `${address} is this host's own address on ${state.bridge}`);
  }
  const record = to;
  if (record === undefined) {
    return broken(
      "delivery",
      `no container of this host has ${address}`,
      "Look at the containers: knet status",
    );
  }
  const end = getLink(rtnl, record.hostIfname);
  const bridge = getLink(rtnl, state.bridge);
  if (end === undefined || !end.up || end.master !== bridge?.index) {
    return broken(
      "delivery",
      `${record.hostIfname}, which leads to "${record.netns}", is ${
        end === undefined ? "gone" : "no port of the bridge, or down"
      }`,
      `knet detach ${record.netns}, then knet attach ${record.netns}`,
    );
  }
  return fine("delivery", `the bridge hands it to "${record.netns}" by ${end.name}`);
}

/** A packet that leaves the cluster network by a device. */
export function outsideStep({ state, leases, address }: Way, link: Link): TraceStep {
  const detail = `leaves the cluster network by ${link.name}`;
  if (state.ipMasq) return fine("outside", `${detail}, under this host's address`);
  const kept = `${detail} with the container's own address as source`;
  const peer = leases.find(({ publicIp }) => publicIp === address);
  if (peer !== undefined && state.backend !== "host-gw") {
    return doubtful(
      "outside",
      `${kept}: "${peer.nodeName}" has another way back to that, and drops it where its rp_filter is 1`,
      `On ${peer.nodeName}: knet doctor; or join with --ip-masq`,
    );
  }
  return doubtful(
    "outside",
    kept,
    "Answers come back only if the routers know the cluster network; else join with --ip-masq",
  );
}

/** What the lease of the receiving host says; its tables are there, not here. */
export function peerStep(peer: Lease, { from, address, now, note }: Way): TraceStep {
  const there = `on ${peer.nodeName}, see it with knet trace ${address} ${from.address}`;
  const detail =
    `"${peer.nodeName}" (${peer.publicIp}) has ${peer.subnet}, and delivers it by its bridge`;
  if (now !== undefined && isExpired(peer, now)) {
    return doubtful(
      "peer",
      `${detail}; but its lease is expired: its agent has not renewed it`,
      `Is the host up, and its agent? If it is gone for good: knet lease release ${peer.nodeName}`,
    );
  }
  if (note !== undefined) return doubtful("peer", detail, note);
  return fine("peer", `${detail}; the way back: ${there}`);
}
