/**
 * The status of this host: what `knet status` prints and the agent serves.
 *
 * @module
 */
import { isExpired } from "../cluster/allocate.ts";
import type { PeerPath, Via } from "../overlay/backend/backend.ts";
import type { PortMapping } from "../container/record.ts";
import type { BackendType } from "../cluster/config.ts";
import { KnetError, messageOf } from "../base/error.ts";
import type { Lease } from "../cluster/lease.ts";
import { doubledLeases } from "../cluster/lease_doubles.ts";
import { readNodeState } from "../cluster/node_state.ts";
import type { CopyInfo } from "../store/admin.ts";
import { askAgent } from "./ask_agent.ts";
import type { ProbeStatus } from "./probe/findings.ts";
import type { Wish } from "../kernel/kind.ts";
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";

/** One stable JSON document. */
export interface StatusReport {
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly publicIp: string;
    readonly subnet: string;
    readonly backend: BackendType;
    /** Bytes. */
    readonly mtu: number;
    readonly device: string;
    readonly bridge: string;
    /** Times in milliseconds since the epoch. */
    readonly lease: {
      readonly acquired: number;
      readonly renewed: number;
      readonly expires: number;
      readonly reserved: boolean;
    };
  };
  readonly agent: {
    readonly running: boolean;
    readonly pid?: number;
    /** Milliseconds since the epoch. */
    readonly since?: number;
    readonly ready: boolean;
    /** A sentence. */
    readonly state: string;
  };
  readonly store: {
    readonly url: string;
    /** "different": it is not the store that this host knows; nothing is written to it, and the network stays as it is. */
    readonly state: "ok" | "away" | "different" | "unknown";
    readonly detail: string;
    readonly revision: number;
    /** The store's clock, which leases go by, milliseconds since the epoch; absent as long as the store was not read. */
    readonly clock?: number;
    /** Random, hexadecimal; absent as long as none is known. */
    readonly identity?: string;
    readonly epoch?: number;
    /** Since when it has been away or different, milliseconds since the epoch. */
    readonly since?: number;
    /** What the administrator can do. */
    readonly remedy?: string;
    /** Hosts of the cluster's own store, as far as this one knows. */
    readonly copies?: readonly CopyInfo[];
  };
  readonly peers: readonly PeerStatus[];
  readonly containers: readonly {
    /** Empty where its runtime attaches it itself, as Docker does; so is `ifname`. */
    readonly netns: string;
    /** What the runtime calls it. */
    readonly name?: string;
    /** Who asked for it, if not `knet attach`. */
    readonly runtime?: string;
    readonly containerId?: string;
    /** Ports of this host that lead to it. */
    readonly ports?: readonly PortMapping[];
    readonly ifname: string;
    readonly address: string;
    readonly stranded: boolean;
  }[];
  /** The packet loop of the backend udp, as long as the agent runs. */
  readonly tunnel?: TunnelStatus;
  readonly warnings: readonly string[];
}

/** One peer: is its lease alive, and is each of its entries in the kernel? */
export interface PeerStatus {
  readonly name: string;
  readonly nodeId: string;
  readonly subnet: string;
  readonly publicIp: string;
  readonly expired: boolean;
  readonly route: boolean;
  readonly neighbour: boolean;
  readonly fdb: boolean;
  /** Whether each entry that leads to it is there as it should be, by the name of its kind. */
  readonly entries: Readonly<Record<string, boolean>>;
  readonly via: Via;
  /** Why it cannot be reached. */
  readonly warning?: string;
  /** How packets fare on the way to it, as long as the agent runs. */
  readonly probe?: ProbeStatus;
}

/**
 * Compares a peer with the kernel's tables.
 *
 * @param holds Whether an entry is there as it should be.
 */
export function peerStatus(
  lease: Lease,
  { via, entries, shared, warning }: PeerPath,
  holds: (wish: Wish) => boolean,
  now: number,
  probe?: ProbeStatus,
): PeerStatus {
  const wanted = entries.length === 0 && shared !== undefined ? [shared] : entries;
  const held = Object.fromEntries(wanted.map((wish) => [wish.kind.name, holds(wish)]));
  return {
    name: lease.nodeName,
    nodeId: lease.nodeId,
    subnet: lease.subnet,
    publicIp: lease.publicIp,
    expired: isExpired(lease, now),
    route: held["route"] ?? false,
    neighbour: held["neighbour"] ?? false,
    fdb: held["fdb"] ?? false,
    entries: held,
    via,
    ...(warning !== undefined && { warning }),
    ...(probe !== undefined && { probe }),
  };
}

/**
 * The status of this host, by the agent if one runs, else from what the last one left.
 *
 * @throws {KnetError} if this host is in no cluster.
 */
export async function collectStatus(
  options: {
    /** Asked only where no agent answers. */
    readonly storeUrl: () => Promise<string>;
    readonly stateDir: string;
    readonly dataDir: string;
  },
): Promise<StatusReport> {
  const body = await askAgent(options.stateDir, "/status");
  if (body !== undefined) {
    const { readStatusReport } = await import("./report_shape.ts");
    return readStatusReport(body);
  }
  const state = readNodeState(options.stateDir);
  if (state === undefined) {
    throw new KnetError("Cannot show the status: no agent runs and this host is in no cluster", {
      remedy: "Run knet join",
    });
  }
  const [
    { openRtnl },
    { listLinks },
    { listAddresses },
    { listRoutes },
    { RT_TABLE_MAIN },
    { KernelEntries },
    { kindsOf },
    { openStore, redactUrl },
    { listContainers, namesOfRecord },
    { NO_PATH },
    { backendOf },
    { chooseUnderlay },
  ] = await Promise.all([
    import("../../ffi/rtnl/rtnl.ts"),
    import("../../ffi/rtnl/link.ts"),
    import("../../ffi/rtnl/address.ts"),
    import("../../ffi/rtnl/route.ts"),
    import("../../ffi/linux/rtnetlink.ts"),
    import("../kernel/entries.ts"),
    import("../kernel/kinds/kinds.ts"),
    import("../store/open.ts"),
    import("../container/container.ts"),
    import("../overlay/backend/backend.ts"),
    import("../overlay/backend/backends.ts"),
    import("../overlay/underlay.ts"),
  ]);
  const warnings = ["No agent runs on this host: what breaks is not repaired"];
  let leases: Lease[] = [];
  let store: StatusReport["store"];
  let now = 0;
  let config;
  const storeUrl = await options.storeUrl();
  try {
    await using opened = await openStore(storeUrl, { existing: true, stateDir: options.stateDir });
    const all = await opened.listLeases();
    ({ leases, now } = all);
    store = {
      url: opened.location,
      state: "ok",
      detail: opened.location,
      revision: all.revision,
      clock: now,
    };
    try {
      config = await opened.getConfig();
    } catch (error) {
      // It makes no sense; what else the store holds is shown.
      if (!(error instanceof KnetError) || error.exitCode !== 4) throw error;
      warnings.push(error.message);
    }
    warnings.push(...doubledLeases(leases, now));
  } catch (error) {
    store = {
      url: redactUrl(storeUrl),
      state: "away",
      detail: error instanceof Error ? error.message : String(error),
      revision: 0,
    };
  }
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  const device = links.find((link) => link.name === state.device)?.index;
  const own = leases.find((lease) => lease.nodeId === state.nodeId);
  const peers = leases.filter((lease) => lease !== own);
  const family = own?.family ?? 4;
  using entries = new KernelEntries(rtnl, { kinds: kindsOf(rtnl) });
  entries.scope = { family, device };
  entries.read();
  let pathOf = (_peer: Lease): PeerPath => NO_PATH;
  if (config !== undefined) {
    try {
      const underlay = chooseUnderlay({
        links,
        addresses: listAddresses(rtnl),
        routes: listRoutes(rtnl, { family, table: RT_TABLE_MAIN }),
      }, { family, iface: state.iface, publicIp: state.publicIp });
      const backend = backendOf(config.backend);
      const context = {
        config,
        family,
        nodeId: state.nodeId,
        subnet: state.subnet,
        backendData: own?.backendData ?? {},
        underlay,
        announced: true,
        mtu: state.mtu,
      };
      pathOf = (peer) => backend.peer(context, device ?? 0, peer);
    } catch (error) {
      warnings.push(messageOf(error));
    }
  }
  const paths = peers.map((peer): [Lease, PeerPath] => [peer, pathOf(peer)]);
  for (const [, path] of paths) entries.wishes.add(path.entries);
  return {
    node: {
      id: state.nodeId,
      name: state.nodeName,
      publicIp: state.publicIp,
      subnet: state.subnet,
      backend: state.backend,
      mtu: state.mtu,
      device: state.device ?? "",
      bridge: state.bridge,
      lease: {
        acquired: own?.acquired ?? 0,
        renewed: own?.renewed ?? 0,
        expires: own?.expires ?? 0,
        reserved: own?.reserved ?? false,
      },
    },
    agent: { running: false, ready: false, state: "not running" },
    store,
    peers: paths.map(([peer, path]) => peerStatus(peer, path, (wish) => entries.holds(wish), now)),
    containers: listContainers(options.dataDir).map((record) => ({
      ...namesOfRecord(record),
      ifname: record.ifname,
      address: record.address,
      stranded: false,
    })),
    warnings,
  };
}
