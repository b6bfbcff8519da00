/**
 * The agent's answer to `knet status`: what it knows, as one document. Pure but for the address book.
 *
 * @module
 */
import { plural } from "../base/plural.ts";
import type { CopyInfo } from "../store/admin.ts";
import type { ClusterContainer } from "../cluster/cluster_container.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { isStranded, listContainers, namesOfRecord } from "../container/container.ts";
import type { Lease } from "../cluster/lease.ts";
import { doubledLeases } from "../cluster/lease_doubles.ts";
import type { NodeIdentity } from "../cluster/node_identity.ts";
import { peerStatus, type StatusReport } from "../inspect/status.ts";
import type { Underlay } from "../overlay/underlay.ts";
import type { HostNetwork } from "./host_network.ts";
import { identityText } from "../store/identity.ts";
import type { Membership } from "./membership.ts";
import type { PeerProbes } from "./probe/peer_probes.ts";
import type { Overlays } from "../overlay/overlays.ts";

/** What the report is made from. */
export interface ReportFacts {
  readonly identity: NodeIdentity;
  /** When the agent started, milliseconds since the epoch. */
  readonly since: number;
  /** How it goes: {@linkcode sentenceOf}. */
  readonly sentence: string;
  readonly bridge: string;
  readonly dataDir: string;
  /** Containers that Docker attaches itself. */
  readonly docker?: readonly ClusterContainer[];
  readonly config: ClusterConfig | undefined;
  readonly lease: Lease | undefined;
  readonly underlay: Underlay | undefined;
  readonly membership: Pick<
    Membership,
    "health" | "revision" | "notifying" | "store" | "storeNow" | "warnings"
  >;
  /** Without its password. */
  readonly storeUrl: string;
  /** Hosts of the cluster's own store. */
  readonly copies?: readonly CopyInfo[] | undefined;
  readonly network: Pick<HostNetwork, "ready" | "state" | "warnings"> & {
    readonly overlays: Pick<Overlays, "paths" | "holds" | "companion">;
    readonly probes?: Pick<PeerProbes, "statusOf">;
  };
}

/** What {@linkcode sentenceOf} looks at. */
export interface SentenceFacts {
  readonly lease: Pick<Lease, "subnet"> | undefined;
  /** What is missing of the underlay, as long as there has been none. */
  readonly waiting?: string | undefined;
  readonly membership:
    & Pick<Membership, "health" | "takenOver">
    & Partial<Pick<Membership, "rival" | "configProblem" | "problem">>;
  readonly network: Pick<HostNetwork, "ready" | "problem"> & {
    readonly overlays: Pick<Overlays, "peers">;
  };
}

/** How it goes, in one sentence: what needs an eye first. */
export function sentenceOf({ lease, membership, network, waiting }: SentenceFacts): string {
  if (waiting !== undefined) return waiting;
  if (network.problem !== undefined) return network.problem;
  const { health, takenOver, rival, configProblem, problem } = membership;
  if (problem !== undefined) return problem;
  if (takenOver !== undefined) {
    return `node id taken over by "${takenOver.nodeName}" at ${takenOver.publicIp}`;
  }
  if (rival !== undefined) {
    return `this host's public address is that of "${rival.nodeName}" too: peers are told the old one`;
  }
  if (health.state === "different") {
    return `the store is not the one that this host knows: ${health.detail}; nothing is written to it, the network stays as it is`;
  }
  if (health.state === "away") return `waiting for the store: ${health.detail}`;
  if (configProblem !== undefined) {
    return `the cluster configuration in the store makes no sense, this host goes on with its own: ${configProblem}`;
  }
  return network.ready
    ? `${lease?.subnet}, ${plural(network.overlays.peers.length, "peer")}`
    : "joining";
}

/** Makes the report. */
export function reportStatus(facts: ReportFacts): StatusReport {
  const { identity, lease, network } = facts;
  const { state, overlays } = network;
  const { health, revision, notifying, store: known, storeNow } = facts.membership;
  const subnet = lease?.subnet ?? "";
  const tunnel = overlays.companion?.status;
  return {
    node: {
      id: identity.nodeId,
      name: identity.nodeName,
      publicIp: facts.underlay?.publicIp ?? "",
      subnet,
      backend: facts.config?.backend.type ?? "vxlan",
      mtu: state?.mtu ?? 0,
      device: state?.device ?? "",
      bridge: facts.bridge,
      lease: {
        acquired: lease?.acquired ?? 0,
        renewed: lease?.renewed ?? 0,
        expires: lease?.expires ?? 0,
        reserved: lease?.reserved ?? false,
      },
    },
    agent: {
      running: true,
      pid: Deno.pid,
      since: facts.since,
      ready: network.ready,
      state: facts.sentence,
    },
    store: {
      url: facts.storeUrl,
      state: health.state,
      detail: health.state === "ok" ? notifying : health.detail,
      revision,
      clock: storeNow,
      ...(known !== undefined && {
        ...{ identity: identityText(known.identity), epoch: known.epoch },
      }),
      ...(health.since !== undefined && { since: health.since }),
      ...(health.remedy !== undefined && { remedy: health.remedy }),
      ...(facts.copies !== undefined && { copies: facts.copies }),
    },
    peers: overlays.paths.map(({ lease, path }) =>
      peerStatus(
        lease,
        path,
        (wish) => overlays.holds(wish, lease.family),
        storeNow,
        network.probes?.statusOf(lease),
      )
    ),
    ...(tunnel !== undefined && { tunnel }),
    containers: [
      ...listContainers(facts.dataDir).map((record) => ({
        ...namesOfRecord(record),
        ifname: record.ifname,
        address: record.address,
        stranded: subnet !== "" && isStranded(record, subnet),
      })),
      ...(facts.docker ?? []).map(({ name, containerId, ports, runtime, address }) => ({
        ...{ netns: "", ifname: "", runtime, address },
        ...(name !== "" && { name }),
        ...(containerId !== "" && { containerId }),
        ...(ports.length > 0 && { ports }),
        // Docker makes its network anew where the subnet is another one.
        stranded: false,
      })),
    ],
    warnings: [
      ...network.warnings,
      ...facts.membership.warnings,
      ...doubledLeases(
        [...lease ? [lease] : [], ...overlays.paths.map((path) => path.lease)],
        storeNow,
      ),
    ],
  };
}
