/**
 * What `knet join` and `knet leave` would do, found out without doing it: nothing is written, here or in the store.
 *
 * @module
 */
import { listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { parsePrefix } from "../base/address.ts";
import { wallClock } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { isExpired, isUntaken } from "../cluster/allocate.ts";
import { type ClusterConfig, makeClusterConfig } from "../cluster/config.ts";
import { findIdentity, storedAgentId, storedNodeId } from "../cluster/node_identity.ts";
import { readNodeState } from "../cluster/node_state.ts";
import { listContainers } from "../container/container.ts";
import { shownName } from "../container/record.ts";
import { VIP_DEVICE } from "../kernel/ipvs/vips.ts";
import { staleDevices } from "../kernel/stale_devices.ts";
import { backendOf } from "../overlay/backend/backends.ts";
import { gatewayOf } from "../overlay/own_devices.ts";
import { releasable } from "../store/lease_admin.ts";
import { decideGrant, type Granted } from "../store/lease_decisions.ts";
import { dqliteDirectory, NoStoreError } from "../store/location.ts";
import { openStore } from "../store/open.ts";
import { wayByAgent } from "../store/remote/agent_way.ts";
import { isVipOf } from "../store/services.ts";
import { readSnapshot } from "../store/snapshot.ts";
import type { Store } from "../store/store.ts";
import type { AgentOptions } from "./agent_options.ts";
import { contextOf, ownerOf } from "./context.ts";
import { choiceOf, heldBy, HostUnderlay } from "./host_underlay.ts";
import type { LeaveOptions } from "./leave.ts";
import { refuseStranger } from "./leave_for.ts";
import {
  isHeld,
  refuseDifferences,
  refuseOtherDevices,
  refuseOverlap,
  refusePowerless,
  refuseRunning,
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
  /** Host that has this address by its lease: peers are told it when that host has another one. */
  readonly rival?: string;
  /** The subnet that it would get now, and how. */
  readonly subnet: string;
  readonly how: Granted["how"];
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

/** What the store says; of one that is not there yet, what this host would write. */
async function read(store: Store, wanted: ClusterConfig) {
  const nothing = { first: true, config: wanted, leases: [], services: [], now: wallClock() };
  try {
    const config = await store.getConfig();
    if (config === undefined) return nothing;
    const { leases, now } = await store.listLeases();
    const { services } = await store.listServices();
    return { first: false, config, leases, services, now };
  } catch (error) {
    if (!(error instanceof NoStoreError)) throw error;
    return nothing;
  }
}

/**
 * What `knet join` would do now.
 *
 * @throws {KnetError} what `knet join` would be refused by; exit code 2 for a store that the agents hold: there is none to ask before.
 */
export async function planJoin(options: AgentOptions): Promise<JoinPlan> {
  refusePowerless();
  refuseRunning(options);
  if (dqliteDirectory(options.storeUrl) !== undefined) {
    throw new KnetError(
      `Cannot tell what joining by the store ${options.storeUrl} would do: the agents hold it, and this host takes part in it by joining only`,
      { exitCode: 2, remedy: "Look at a host that has joined: knet lease ls" },
    );
  }
  const { nodeId, nodeName, bootId, agentId = "" } = findIdentity(options);
  refuseOtherDevices(ownerOf({ agentId }, options), options.bridge);
  const kept = readSnapshot(options.dataDir, nodeId, () => {});
  await using store = await openStore(options.storeUrl, { existing: true });
  const { first, config, leases, services, now } = await read(
    store,
    makeClusterConfig(options.config),
  );
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
  const { backend } = config;
  const ours = leases.filter((lease) => lease.family === family);
  const { lease, how, rival } = decideGrant(
    { config, leases: ours, unreadable: [], now },
    {
      ...{ nodeId, nodeName, agentId, bootId, publicIp, family, backend: backend.type },
      ...(kept !== undefined && { previousSubnet: kept.own.subnet }),
      backendData: (attempt) => backendOf(backend).backendData(backend, nodeId, attempt),
    },
    0,
    // Who is there already keeps its address.
    ours.some((each) => each.nodeId === nodeId && each.publicIp === publicIp)
      ? undefined
      : isVipOf(publicIp, services.filter(({ vip }) => vip === publicIp).map(({ name }) => name)),
    false,
  );
  const { subnet } = lease;
  const context = contextOf(config, lease, underlay);
  const device = backendOf(backend).device(context)?.name;
  const there = new Set(listLinks(rtnl).map(({ name }) => name));
  const devices = [...(device === undefined ? [] : [device]), options.bridge];
  return {
    store: store.location,
    ...{ first, config, nodeId, nodeName, publicIp, subnet, how },
    ...(rival && { rival: rival.nodeName }),
    iface: underlay.name,
    gateway: gatewayOf(subnet),
    mtu: context.mtu,
    makes: devices.filter((name) => !there.has(name)),
    keeps: devices.filter((name) => there.has(name)),
    peers:
      ours.filter((each) => each.nodeId !== nodeId && !isUntaken(each) && !isExpired(each, now))
        .length,
  };
}

/**
 * What `knet leave` would do now.
 *
 * @throws {KnetError} exit code 3 without the privilege; if the store cannot be asked, or has no such lease.
 */
export async function planLeave(options: LeaveOptions): Promise<LeavePlan> {
  const { stateDir, dataDir, node } = options;
  if (node === undefined) refusePowerless("leave");
  const agent = node === undefined && isHeld(stateLock(stateDir));
  const released = await leaseOf(options, agent);
  const given = released === undefined ? {} : { released };
  if (node !== undefined) return { ...given, agent, devices: [], containers: [] };
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  const state = readNodeState(stateDir);
  const owner = { id: storedAgentId(dataDir) ?? "unknown", dataDir };
  const recorded = state?.device === undefined ? [] : [state.device];
  const devices = [
    ...staleDevices(links, [], { owner, recorded }).map(({ name }) => name),
    ...(state !== undefined && links.some(({ name }) => name === VIP_DEVICE) ? [VIP_DEVICE] : []),
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
  if (node === undefined) return leases.find((lease) => lease.nodeId === nodeId)?.subnet;
  try {
    return releasable(leases, node, now, { force }).subnet;
  } catch (error) {
    if (dqliteDirectory(storeUrl) === undefined) throw error;
    await refuseStranger(node, store, wayByAgent(stateDir, store.location), error);
    return undefined;
  }
}
