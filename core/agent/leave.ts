/**
 * `knet leave`: takes this host's part of the network down and gives the lease back; or gives back that of a host which will not.
 *
 * @module
 */
import { realServersOf } from "../container/real_servers.ts";
import { existsSync } from "node:fs";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import { getLogger } from "@logtape/logtape";
import { Nftables, NoNftablesError } from "../../ffi/libnftables.ts";
import { hasLibrary } from "../../ffi/load.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { deleteAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { changeLink, deleteLink, getLink, listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { forgetStore } from "../store/recorded_store.ts";
import { dataLock, refusePowerless, stateLock } from "./preflight.ts";
import { readSnapshot, removeSnapshot } from "../store/snapshot.ts";
import { monotonicClock, sleep } from "../base/clock.ts";
import { familyOf, prefixContains } from "../base/address.ts";
import { serveContainers } from "./container_server.ts";
import { removeDocker } from "../container/docker/install.ts";
import { detachAll } from "../container/release.ts";
import { removeCni } from "../container/install_cni.ts";
import { removePodman } from "../container/netavark/install.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { deriveMac } from "../base/mac.ts";
import { removeFirewall, removePasses } from "../kernel/firewall/firewall.ts";
import type { Family } from "../cluster/lease.ts";
import { storedAgentId, storedNodeId } from "../cluster/node_identity.ts";
import { KernelServices } from "../kernel/ipvs/kernel_services.ts";
import { type NodeState, readNodeState, removeNodeState } from "../cluster/node_state.ts";
import { carriesOthers, removeStaleDevices } from "../kernel/stale_devices.ts";
import { askAgent, SilentAgentError } from "../inspect/ask_agent.ts";
import type { Lease } from "../cluster/lease.ts";
import { dqliteDirectory } from "../store/location.ts";
import { forgetCluster } from "../port/node_files.ts";
import { leaveFor } from "./leave_for.ts";
import { leaveHeldStore, type LeftCertificate } from "./leave_store.ts";
import { openStore, openStoreAdmin } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { awaitHeir, holdersByAgent, refuseStopping } from "./last_copy.ts";
import { isMade, othersOf, type Owner, readMark } from "../kernel/owner.ts";
import { KernelEntries } from "../kernel/entries.ts";
import type { Kind } from "../kernel/kind.ts";
import { route } from "../kernel/kinds/route.ts";

const log = getLogger(["knet", "leave"]);

/** What to leave. */
export interface LeaveOptions {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  /** Another host: only its lease is given back. */
  readonly node?: string;
  readonly force: boolean;
  /** Ends this host's agent for good, if that is up to a service manager; false if it is not. Asked before the agent itself is. */
  readonly endService?: () => Promise<boolean>;
}

/** What was done. */
export interface LeaveResult {
  /** Subnet given back, if there was a lease. */
  readonly released?: string;
  /** Devices removed. */
  readonly devices: readonly string[];
  /** Of a host of a cluster that holds the store itself. */
  readonly certificate?: LeftCertificate;
  /** What stays of the cluster, if this host was the last to hold its store. */
  readonly kept?: string;
}

const STOP_PATIENCE = 10_000;
/** Milliseconds that the store has to say who votes. */
const ANSWER = 5000;

/**
 * Leaves the cluster.
 *
 * @throws {KnetError} exit code 3 without the privilege, 4 if another node lives and `force` is not set; also if the store is away, in
 * which case this host is taken down all the same and its lease stays.
 */
export async function leave(options: LeaveOptions): Promise<LeaveResult> {
  const { stateDir } = options;
  await using store = await openStore(options.storeUrl, { existing: true, stateDir });
  if (options.node !== undefined) {
    return { ...await leaveFor(options.node, store, options), devices: [] };
  }
  refusePowerless("leave");
  Deno.mkdirSync(options.stateDir, { recursive: true });
  using idle = FileLock.acquire(stateLock(options.stateDir)) ?? null;
  using _idleData = idle && lockData(options.dataDir) || null;
  if (idle === null && !options.force) await refuseLeaving(options);
  await uninstall(options, idle === null);
  using _lock = idle === null ? await stopAgent(options) : null;
  using _data = idle === null ? lockData(options.dataDir) ?? null : null;
  const nodeId = storedNodeId(options.dataDir);
  const agentId = storedAgentId(options.dataDir);
  const owner = { id: agentId ?? "unknown", dataDir: options.dataDir };
  const { devices, alone } = await takeDown(options, owner);
  /** Where other hosts reach this one by them they are needed to the last. */
  const removeRules = () => alone && withNftables(removePasses);
  const peers = peersOf(options.dataDir);
  removeSnapshot(options.dataDir);
  const directory = dqliteDirectory(options.storeUrl);
  if (directory === undefined || nodeId === undefined || agentId === undefined) removeRules();
  if (nodeId === undefined || agentId === undefined) {
    // It may have asked to join, and never have come to it.
    forgetCluster(options.dataDir);
    return { devices };
  }
  try {
    let given: Lease | undefined;
    const release = async (from: Store) => {
      const { leases } = await from.listLeases();
      const own = leases.find((lease) => lease.nodeId === nodeId);
      if (own === undefined) return given;
      given = own;
      await from.releaseLease(nodeId, { agentId, force: options.force });
      return own;
    };
    const { released: own, certificate } = directory === undefined
      ? { released: await release(store), certificate: undefined }
      : await leaveHeldStore(options, { nodeId, peers }, release);
    if (directory !== undefined) removeRules();
    forgetStore(options.dataDir);
    // What is kept for the last copy is kept for who goes on with it.
    if (certificate !== undefined) forgetCluster(options.dataDir);
    return {
      ...(own !== undefined && { released: own.subnet }),
      devices,
      ...(certificate && { certificate }),
      ...(directory !== undefined && existsSync(directory) && { kept: directory }),
    };
  } catch (error) {
    throw new KnetError(`Cannot give the lease back: ${messageOf(error)}`, {
      cause: error,
      remedy: directory === undefined
        ? `The network is down on this host. Later, on any host: knet lease release ${nodeId} --force`
        : `The network is down on this host, which belongs to the cluster still: its lease, its certificate and what it knows of the store are there. Run knet leave again when the store answers; if this host is not to wait for that, on another host: knet leave --node ${nodeId} --force`,
    });
  }
}

/** Leaves no cluster without its own store, as long as this host's agent can say so. */
async function refuseLeaving({ storeUrl, stateDir, dataDir }: LeaveOptions): Promise<void> {
  await awaitHeir(() => holdersByAgent(stateDir));
  const nodeId = storedNodeId(dataDir);
  if (nodeId === undefined || dqliteDirectory(storeUrl) === undefined) return;
  await refuseStopping(nodeId, async () => {
    await using admin = await openStoreAdmin(storeUrl, {
      ...{ existing: true, stateDir, deadlineMs: ANSWER },
    });
    return await admin.info();
  });
}

/** The other hosts, as this one remembers them. */
function peersOf(dataDir: string): readonly Lease[] {
  return readSnapshot(dataDir, undefined, () => {})?.peers ?? [];
}

/**
 * Takes knet away from the container runtimes: first of all, so that none starts containers into what is being taken down.
 *
 * @param agent whether one runs: Docker asks for its network's going, and is patient for half a minute.
 */
async function uninstall(options: LeaveOptions, agent: boolean): Promise<void> {
  const gone = [...removeCni(options.dataDir), ...removePodman(options.dataDir)];
  if (gone.length > 0) log.info("Removed {files}", { files: gone.join(", ") });
  await using _server = agent
    ? undefined
    : serveContainers(options, { ready: false, problem: undefined });
  for (const problem of await removeDocker(options.dataDir)) log.warn("{problem}", { problem });
}

/** Keeps agents from the data directory; one that runs with another state directory is not asked to stop, and goes on. */
function lockData(dataDir: string): FileLock | undefined {
  if (!existsSync(dataDir)) return undefined;
  const path = dataLock(dataDir);
  const lock = FileLock.acquire(path);
  if (lock !== undefined) return lock;
  throw new KnetError(
    `Cannot leave: an agent of the data directory "${dataDir}" runs with another state directory (process ${
      holder(path) ?? "unknown"
    })`,
    { remedy: "Name its --state-dir, too" },
  );
}

async function stopAgent({ stateDir, endService }: LeaveOptions): Promise<FileLock> {
  const path = stateLock(stateDir);
  const until = monotonicClock() + STOP_PATIENCE;
  for (let asked = false;;) {
    const lock = FileLock.acquire(path);
    if (lock !== undefined) return lock;
    if (!asked) {
      asked = true;
      try {
        if (!await endService?.()) await askAgent(stateDir, "/stop", "POST");
      } catch (error) {
        // One that is busy may have heard it, and stops when it comes to it.
        if (!(error instanceof SilentAgentError)) throw error;
      }
    }
    if (monotonicClock() > until) {
      throw new KnetError("Cannot leave: the agent does not stop, or is started again", {
        remedy: "Run systemctl disable --now knet, then knet leave",
      });
    }
    await sleep(50);
  }
}

/** Takes all down but the rules in others' chains. `alone`: no other knet on this host needs what a network namespace has one of. */
async function takeDown(
  options: LeaveOptions,
  owner: Owner,
): Promise<{ readonly devices: string[]; readonly alone: boolean }> {
  const state = readNodeState(options.stateDir);
  const devices: string[] = [];
  using rtnl = openRtnl();
  // What a network namespace has one of, services and routes and rules, is that knet's then.
  const others = othersOf(listLinks(rtnl), owner);
  const alone = others.length === 0;
  if (!alone) {
    log.warn(
      "Services, routes and firewall stay: they are those of the knet of {dataDir}, which has {device}",
      { dataDir: others[0]!.mark.dataDir, device: others[0]!.link.name },
    );
  }
  if (alone) {
    // Containers that are real servers have to be reached, so this comes before they are detached.
    using services = new KernelServices(rtnl, undefined, {
      dataDir: options.dataDir,
      realServers: realServersOf,
    });
    devices.push(...services.removeAll());
  }
  await detachAll(options.dataDir);
  for (const family of alone ? [4, 6] satisfies Family[] : []) {
    // Those on the overlay's device go with it.
    using entries = new KernelEntries(rtnl, { kinds: [route as Kind] });
    entries.scope = { family, device: undefined };
    entries.converge();
  }
  const recorded = state?.device === undefined ? [] : [state.device];
  if (state !== undefined) devices.push(...leaveBridge(rtnl, state, owner));
  devices.push(...removeStaleDevices(rtnl, [], { owner, recorded }));
  if (alone) withNftables(removeFirewall);
  removeNodeState(options.stateDir);
  return { devices, alone };
}

/** Deletes the bridge, or takes back what was done to one that somebody else made. Returns names of what was deleted. */
function leaveBridge(rtnl: NetlinkSocket, state: NodeState, owner: Owner): string[] {
  const { bridge: name, network } = state;
  const link = getLink(rtnl, name);
  if (link === undefined || othersOf([link], owner).length > 0) return [];
  const mac = deriveMac("bridge", state.nodeId, name);
  const made = link.kind === "bridge" && isMade({ kind: "bridge", mac, owner }, link);
  if (made && !carriesOthers(link, listLinks(rtnl, { master: link.index }))) {
    deleteLink(rtnl, link.index);
    return [name];
  }
  for (const own of listAddresses(rtnl, { ifindex: link.index })) {
    const { family, address, prefixLength } = own;
    if (family !== familyOf(network) || !prefixContains(network, address)) continue;
    deleteAddress(rtnl, { family, ifindex: link.index, address, prefixLength });
  }
  if (readMark(link.alias) !== undefined) changeLink(rtnl, link.index, { alias: "" });
  return [];
}

function withNftables(work: (nft: Nftables) => void): void {
  // Without the library no rules of knet were made here, and without nfnetlink there are none.
  if (!hasLibrary("libnftables.so.1")) return;
  try {
    using nft = new Nftables();
    work(nft);
  } catch (error) {
    if (!(error instanceof NoNftablesError)) throw error;
    log.warn("{message}", { message: error.message });
  }
}
