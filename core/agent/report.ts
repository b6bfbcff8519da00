/**
 * The agent's answer to `knet status`: what it knows, as one document. Pure but for the address book.
 *
 * @module
 */
import { wallClock } from "../clock.ts";
import type { ClusterConfig } from "../cluster.ts";
import { isStranded, listContainers } from "../container.ts";
import type { Lease } from "../lease.ts";
import type { NodeIdentity } from "../node.ts";
import type { NodeState } from "../node_state.ts";
import { peerStatus, type StatusReport } from "../status.ts";
import type { Underlay } from "../underlay.ts";
import type { Membership } from "./membership.ts";
import type { Overlay } from "./overlay.ts";

/** What the report is made from. */
export interface ReportFacts {
  readonly identity: NodeIdentity;
  /** When the agent started, milliseconds since the epoch. */
  readonly since: number;
  readonly ready: boolean;
  /** How it goes, in one sentence. */
  readonly sentence: string;
  readonly warnings: readonly string[];
  readonly bridge: string;
  readonly dataDir: string;
  readonly config: ClusterConfig | undefined;
  readonly lease: Lease | undefined;
  readonly state: NodeState | undefined;
  readonly underlay: Underlay | undefined;
  readonly membership: Pick<Membership, "health" | "revision" | "notifying">;
  /** Without its password. */
  readonly storeUrl: string;
  readonly overlay: Pick<Overlay, "paths" | "tables" | "tunnel">;
}

/** Makes the report. */
export function reportStatus(facts: ReportFacts): StatusReport {
  const { identity, lease, state, overlay } = facts;
  const { health, revision, notifying } = facts.membership;
  const subnet = lease?.subnet ?? "";
  const now = wallClock();
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
      ready: facts.ready,
      state: facts.sentence,
    },
    store: {
      url: facts.storeUrl,
      state: health.state,
      detail: health.state === "ok" ? notifying : health.detail,
      revision,
    },
    peers: overlay.paths.map(({ lease, path }) => peerStatus(lease, path, overlay.tables, now)),
    ...(overlay.tunnel !== undefined && { tunnel: overlay.tunnel }),
    containers: listContainers(facts.dataDir).map((record) => ({
      netns: record.netns,
      ifname: record.ifname,
      address: record.address,
      stranded: subnet !== "" && isStranded(record, subnet),
    })),
    warnings: facts.warnings,
  };
}
