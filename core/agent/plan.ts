/**
 * What `knet join` and `knet leave` would do, found out without doing it: nothing is written, here or in the store.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { parsePrefix } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { allocate, refuseRival } from "../cluster/allocate.ts";
import { type ClusterConfig, makeClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { findIdentity, storedAgentId, storedNodeId } from "../cluster/node_identity.ts";
import { readNodeState } from "../cluster/node_state.ts";
import { listContainers } from "../container/container.ts";
import { shownName } from "../container/record.ts";
import { VIP_DEVICE } from "../kernel/ipvs/vips.ts";
import { staleDevices } from "../kernel/stale_devices.ts";
import { backendOf } from "../overlay/backend/backends.ts";
import { gatewayOf } from "../overlay/own_devices.ts";
import { releasable } from "../store/lease_admin.ts";
import { refuseUnfit } from "../store/leases.ts";
import { dqliteDirectory, NoStoreError } from "../store/location.ts";
import { openStore } from "../store/open.ts";
import { readSnapshot } from "../store/snapshot.ts";
import type { Store } from "../store/store.ts";
import type { AgentOptions } from "./agent_options.ts";
import { contextOf, ownerOf } from "./context.ts";
import { choiceOf, heldBy, HostUnderlay } from "./host_underlay.ts";
import type { LeaveOptions } from "./leave.ts";
import {
  dataLock,
  refuseDifferences,
  refuseOtherDevices,
  refuseOverlap,
  refusePowerless,
  stateLock,
} from "./preflight.ts";

/** What joining would do. */
export interface JoinPlan {
  /** Location of the store, without a password. */
  readonly store: string;
  /** Whether this host would write the cluster's configuration, as the first one. */
  readonly first: boolean;
  readonly config: ClusterConfig;
  readonly nodeId: string;
  readonly nodeName: string;
  /** The interface, and the address that peers would be told. */
  readonly iface: string;
  readonly publicIp: string;
  /** The subnet that it would get now, and how: "new", "kept", "reserved", "reassigned". */
  readonly subnet: string;
  readonly how: string;
  readonly gateway: string;
  /** Of devices and containers, bytes. */
  readonly mtu: number;
  /** Devices to be made, and those that are there. */
  readonly makes: readonly string[];
  readonly keeps: readonly string[];
  /** Living hosts that it would have as peers. */
  readonly peers: number;
}

/** What leaving would do. */
export interface LeavePlan {
  /** Whether an agent runs, that would be stopped. */
  readonly agent: boolean;
  /** Subnet that would be given back, and of whom. */
  readonly released?: string;
  /** Devices that would be removed. */
  readonly devices: readonly string[];
  /** Containers that would lose the network. */
  readonly containers: readonly string[];
}

/** Who runs with a lock file; it is not made. */
function runs(path: string): boolean {
  if (!existsSync(path)) return false;
  using lock = FileLock.acquire(path) ?? null;
  return lock === null;
}

/** What the store says, where there is one. */
async function read(
  store: Store,
  wanted: ClusterConfig,
): Promise<{ first: boolean; config: ClusterConfig; leases: readonly Lease[]; now: number }> {
  try {
    const found = await store.getConfig();
    if (found === undefined) return { first: true, config: wanted, leases: [], now: Date.now() };
    const { leases, now } = await store.listLeases();
    return { first: false, config: found, leases, now };
  } catch (error) {
    if (!(error instanceof NoStoreError)) throw error;
    return { first: true, config: wanted, leases: [], now: Date.now() };
  }
}

/**
 * What `knet join` would do now.
 *
 * @throws {KnetError} what `knet join` would be refused by; exit code 2 for a store that the agents hold: there is none to ask before.
 */
export async function planJoin(options: AgentOptions): Promise<JoinPlan> {
  refusePowerless();
  for (const path of [stateLock(options.stateDir), dataLock(options.dataDir)]) {
    if (!runs(path)) continue;
    throw new KnetError(
      `Cannot join: another agent runs on this host (process ${holder(path) ?? "unknown"})`,
      { remedy: "It has joined: see knet status" },
    );
  }
  if (dqliteDirectory(options.storeUrl) !== undefined) {
    throw new KnetError(
      `Cannot tell what joining by the store ${options.storeUrl} would do: the agents hold it, and this host takes part in it by joining only`,
      { exitCode: 2, remedy: "Look at a host that has joined: knet lease ls" },
    );
  }
  const identity = findIdentity(options);
  const { nodeId, nodeName, agentId = "" } = identity;
  refuseOtherDevices(ownerOf({ agentId }, options), options.bridge);
  const kept = readSnapshot(options.dataDir, nodeId, () => {});
  await using store = await openStore(options.storeUrl, { existing: true });
  const { first, config, leases, now } = await read(store, makeClusterConfig(options.config));
  const { family } = parsePrefix(config.network);
  using rtnl = openRtnl();
  if (kept === undefined) refuseOverlap(rtnl, family, config, options.bridge);
  refuseDifferences(config, options.config);
  const underlay = new HostUnderlay(rtnl, {
    choice: choiceOf(options, family),
    held: heldBy(kept),
    cluster: () => config,
    bridge: options.bridge,
  }).now!;
  const { publicIp } = underlay;
  const applicant = {
    ...{ nodeId, nodeName, agentId, publicIp },
    ...(kept !== undefined && { previousSubnet: kept.own.subnet }),
  };
  const ours = leases.filter((lease) => lease.family === family);
  refuseRival(ours, applicant, now);
  const { subnet, how, reserved } = allocate(config, ours, applicant, now, true);
  const { backend } = config;
  const lease: Lease = {
    ...{ nodeId, nodeName, family, subnet, publicIp, reserved, agentId, bootId: identity.bootId },
    ...{ backend: backend.type, acquired: now, renewed: now, revision: 0 },
    backendData: backendOf(backend).backendData(backend, nodeId, 0),
    expires: now + config.leaseTtl * 1000,
  };
  refuseUnfit(`Cannot join as "${nodeName}" (${publicIp})`, lease, config);
  const context = contextOf(config, lease, underlay);
  const device = backendOf(backend).device(context)?.name;
  const there = new Set(listLinks(rtnl).map(({ name }) => name));
  const devices = [...(device === undefined ? [] : [device]), options.bridge];
  return {
    store: store.location,
    ...{ first, config, nodeId, nodeName, publicIp, subnet, how },
    iface: underlay.name,
    gateway: gatewayOf(subnet),
    mtu: context.mtu,
    makes: devices.filter((name) => !there.has(name)),
    keeps: devices.filter((name) => there.has(name)),
    peers:
      ours.filter((each) => each.nodeId !== nodeId && each.agentId !== "" && each.expires > now)
        .length,
  };
}

/**
 * What `knet leave` would do now.
 *
 * @throws {KnetError} if the store cannot be asked, or has no such lease.
 */
export async function planLeave(options: LeaveOptions): Promise<LeavePlan> {
  const { stateDir, dataDir, node } = options;
  const agent = runs(stateLock(stateDir));
  const released = await leaseOf(options, agent);
  const given = released === undefined ? {} : { released };
  if (node !== undefined) return { ...given, agent: false, devices: [], containers: [] };
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  const state = readNodeState(stateDir);
  const owner = { id: storedAgentId(dataDir) ?? "unknown", dataDir };
  const recorded = state?.device === undefined ? [] : [state.device];
  const devices = [
    ...staleDevices(links, [], { owner, recorded }).map(({ name }) => name),
    ...links.filter(({ name }) => name === VIP_DEVICE && state !== undefined).map(({ name }) =>
      name
    ),
  ];
  const containers = listContainers(dataDir).map(shownName);
  return { ...given, agent, devices, containers };
}

/** The subnet that would be given back. */
async function leaseOf(options: LeaveOptions, agent: boolean): Promise<string | undefined> {
  const { storeUrl, stateDir, dataDir, node } = options;
  const nodeId = storedNodeId(dataDir);
  // Only an agent can ask the store that it holds.
  if (node === undefined && !agent && dqliteDirectory(storeUrl) !== undefined) {
    return readSnapshot(dataDir, nodeId ?? "", () => {})?.own.subnet;
  }
  await using store = await openStore(storeUrl, { existing: true, stateDir });
  const { leases, now } = await store.listLeases();
  const { force } = options;
  if (node !== undefined) return releasable(leases, node, now, { force }).subnet;
  return leases.find((lease) => lease.nodeId === nodeId)?.subnet;
}
