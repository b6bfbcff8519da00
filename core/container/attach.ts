/**
 * `attach`: a container's network namespace becomes part of this host's subnet.
 *
 * @module
 */
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { canonicalAddress, parsePrefix, prefixContains } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";
import { type NodeState, readNodeState } from "../cluster/node_state.ts";
import { limitAgain, publishAgain } from "./attach_again.ts";
import { type Bandwidth, isLimited } from "./bandwidth.ts";
import { type BookPlace, lockBook, readBook, readFormer, writeBook } from "./addresses.ts";
import { findAddress } from "./find_address.ts";
import { expandPorts, portsOverlap } from "./port_request.ts";
import { isPublishedBy, movePorts, refuseTakenPorts } from "./publish.ts";
import { readHeld } from "./held.ts";
import { type ContainerNamespace, isOf, namespaceName, openContainer } from "./namespace.ts";
import {
  type ContainerNames,
  type ContainerRecord,
  type FormerAddress,
  isRuntimes,
  NAMESPACE_LABEL,
  type PortMapping,
  type RuntimeIdentity,
  shownName,
} from "./record.ts";
import { forgetVanished, isVanished } from "./vanished.ts";
import {
  bridgeOf,
  farEndIntact,
  hostIfname,
  macOf,
  makeWire,
  removeHostEnd,
  setWireParameters,
  type WireEnds,
} from "./wire.ts";

/** What `knet attach` was asked. */
export interface AttachOptions {
  /** A name under /run/netns, a path, or a process id. */
  readonly netns: string;
  /** `device:inode` of what the runtime sees at that path, which may be another namespace than this process sees there. */
  readonly netnsSeen?: string;
  /** Name of the interface in the namespace. The default is `eth0`. */
  readonly ifname?: string;
  /** A certain address; the default is the lowest free one. */
  readonly ip?: string;
  /** A certain MAC address; the default is made from the address. */
  readonly mac?: string;
  /** The bridge that the caller believes in; refused if this host's is another. */
  readonly bridge?: string;
  /** The runtime's container that the namespace is of. */
  readonly identity?: RuntimeIdentity;
  /** A name must not be another living container's. */
  readonly names?: ContainerNames;
  /** Ports of this host that lead into it; with what is attached already, instead of those it has. Absent: as they are. */
  readonly ports?: readonly PortMapping[];
  /** What it may send and receive; a direction that is absent has no limit. Absent: as it is, which at first is without limits. */
  readonly bandwidth?: Bandwidth;
  readonly stateDir: string;
  readonly dataDir: string;
  /** The default is this boot's. */
  readonly bootId?: string;
}

/** An attached container. */
export interface AttachResult {
  readonly netns: string;
  readonly name?: string;
  readonly ifname: string;
  /** Without prefix length. */
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  /** Bytes. */
  readonly mtu: number;
  readonly mac: string;
  readonly bridge: string;
  readonly hostIfname: string;
  /** Ports of this host that lead into it. */
  readonly ports?: readonly PortMapping[];
  /** "attached": just now; "present": it was already; "repaired": it was, and its devices had to be made anew. */
  readonly how: "attached" | "present" | "repaired";
}

/**
 * Attaches a container. Needs neither the store nor a running agent, only what the agent wrote down.
 * Attaching the same interface again changes nothing, or repairs what is missing.
 *
 * @throws {KnetError} exit code 2 if the request makes no sense here, 4 if the address or a port is taken, 1 if
 * the host has not joined, the namespace does not exist or the subnet is full.
 * @throws {NetlinkError} if the kernel refuses; nothing is left behind then.
 */
export async function attach(options: AttachOptions): Promise<AttachResult> {
  const { netns, ifname = "eth0", stateDir, dataDir } = options;
  checkInterfaceName(ifname);
  const wanted = options.ports && expandPorts(options.ports);
  const state = stateOfHost(stateDir, netns, options.bridge);
  const place: BookPlace = { dataDir, bootId: options.bootId ?? currentBootId() };
  using namespace = openContainer(netns, options.netnsSeen);
  using _lock = await lockBook(dataDir);
  using rtnl = openRtnl();
  const ends: WireEnds = {
    rtnl,
    netnsFd: namespace.fd,
    bridge: bridgeOf(rtnl, state.bridge),
    state,
  };
  // The port of one that is gone is free, whether the agent has come to it or not.
  const book = forgetVanished(rtnl, place, readBook(place), ({ ports }) => overlap(ports, wanted));
  const present = book.find((record) => record.ifname === ifname && isOf(record, namespace));
  // A runtime that asks again is told that it has it already.
  const asked = options.identity === undefined
    ? { ports: wanted, bandwidth: options.bandwidth }
    : {};
  if (present !== undefined && prefixContains(state.subnet, present.address)) {
    const published = publishAgain(ends, place, present, asked.ports);
    return again(ends, limitAgain(ends, place, published, asked.bandwidth), options.ip);
  }
  const name = shownName({ ...options.identity, ...options.names, netns: namespaceName(netns) });
  const dead = book.filter((record) => record !== present && isDead(record, namespace, options));
  for (const { hostIfname } of dead) removeHostEnd(rtnl, hostIfname);
  movePorts(dead, []);
  const others = book.filter((record) => record !== present && !dead.includes(record));
  refuseNameInUse(others, options);
  const ports = wanted?.filter((port) => !isPublishedBy(port, others, options.identity));
  refuseTakenPorts(ends, ports ?? [], others, name, options.identity?.runtime);
  const { address, rest } = findAddress({ ...ends, held: readHeld(place) }, others, name, {
    wanted: options.ip,
    preferred: formerAddress(options, dead, readFormer(place)),
    former: readFormer(place),
  });
  const record: ContainerRecord = {
    ...options.identity,
    ...options.names,
    netns: namespace.name,
    netnsId: namespace.id,
    ifname,
    address,
    prefixLength: parsePrefix(state.subnet).length,
    hostIfname: hostIfname(namespace.id, ifname),
    ...(options.mac !== undefined && { mac: options.mac }),
    ...(ports !== undefined && ports.length > 0 && { ports }),
    ...(isLimited(options.bandwidth) && { bandwidth: options.bandwidth }),
  };
  // The book first: an attach that is killed half-way leaves an address taken, never one given twice.
  writeBook(place, [...rest, record]);
  try {
    makeWire(ends, record);
    movePorts(book, [...rest, record], state);
  } catch (error) {
    removeHostEnd(rtnl, record.hostIfname);
    writeBook(place, rest);
    throw error;
  }
  return result(state, record, "attached");
}

function overlap(ports: readonly PortMapping[] = [], others: readonly PortMapping[] = []): boolean {
  return ports.some((port) => others.some((other) => portsOverlap(port, other)));
}

/** Whether a record is of a container that this one has taken the place of. */
function isDead(
  record: ContainerRecord,
  namespace: ContainerNamespace,
  { identity, ifname = "eth0" }: AttachOptions,
): boolean {
  // The runtime has made the container anew and did not come to say that the old one is gone.
  if (identity !== undefined && isRuntimes(record, identity, ifname)) return true;
  // No two namespaces have one number at a time.
  return record.netnsId === namespace.inode && record.ifname === ifname;
}

/** The address that the runtime's container had before. */
function formerAddress(
  { identity, ifname = "eth0" }: AttachOptions,
  dead: readonly ContainerRecord[],
  former: readonly FormerAddress[],
): string | undefined {
  if (identity === undefined) return undefined;
  return [...dead, ...former].find((one) => isRuntimes(one, identity, ifname))?.address;
}

/** A name leads to one container, but for its several interfaces. */
function refuseNameInUse(book: readonly ContainerRecord[], options: AttachOptions): void {
  const { identity, names, netns } = options;
  if (names?.name === undefined) return;
  const space = names.labels?.[NAMESPACE_LABEL];
  const other = book.find((record) =>
    record.name === names.name && record.labels?.[NAMESPACE_LABEL] === space &&
    (identity === undefined
      ? record.netns !== namespaceName(netns)
      : record.containerId !== identity.containerId)
  );
  if (other === undefined || isVanished(other)) return;
  throw new KnetError(
    `Cannot attach container "${names.name}": ${
      other.containerId ?? other.netns
    } has this name, with address ${other.address}`,
    { exitCode: 4, remedy: "Remove that container first, or choose another name" },
  );
}

/** Interface names as the kernel takes them (dev_valid_name, net/core/dev.c), and safe in sysctl paths. */
function checkInterfaceName(ifname: string): void {
  if (
    new TextEncoder().encode(ifname).length <= 15 && /^[^\s/:%"\\]+$/.test(ifname) &&
    !["", ".", "..", "lo", "all", "default"].includes(ifname)
  ) return;
  throw new KnetError(`Cannot name an interface "${ifname}": it is no valid interface name`, {
    exitCode: 2,
    remedy: "Use 1 to 15 letters and digits, such as eth0",
  });
}

function stateOfHost(stateDir: string, netns: string, bridge: string | undefined): NodeState {
  const state = readNodeState(stateDir);
  if (state === undefined) {
    throw new KnetError(`Cannot attach "${netns}": this host has not joined the cluster`, {
      remedy: "Start the agent and wait until it is ready: knet join",
    });
  }
  if (bridge !== undefined && bridge !== state.bridge) {
    throw new KnetError(
      `Cannot attach "${netns}" to bridge "${bridge}": this host's bridge is "${state.bridge}"`,
      { exitCode: 2, remedy: `Leave --bridge away, or start the agent with --bridge ${bridge}` },
    );
  }
  return state;
}

/** What is attached already is looked at, and made anew if it is broken. */
function again(ends: WireEnds, record: ContainerRecord, wanted: string | undefined): AttachResult {
  const { rtnl, state, bridge } = ends;
  if (wanted !== undefined && canonicalAddress(wanted) !== record.address) {
    throw new KnetError(
      `Cannot attach "${record.netns}" with address ${wanted}: its ${record.ifname} is attached with ${record.address}`,
      { exitCode: 4, remedy: `Detach it first: knet detach ${record.netns}` },
    );
  }
  const host = getLink(rtnl, record.hostIfname);
  if (host !== undefined && farEndIntact(ends.netnsFd, record)) {
    setWireParameters(ends.netnsFd, record);
    if (host.master === bridge.index && host.up) return result(state, record, "present");
    changeLink(rtnl, host.index, { master: bridge.index, up: true });
  } else {
    removeHostEnd(rtnl, record.hostIfname);
    makeWire(ends, record);
  }
  return result(state, record, "repaired");
}

function result(
  state: NodeState,
  record: ContainerRecord,
  how: AttachResult["how"],
): AttachResult {
  return {
    netns: record.netns,
    ...(record.name !== undefined && { name: record.name }),
    ifname: record.ifname,
    address: record.address,
    prefixLength: record.prefixLength,
    gateway: state.gateway,
    mtu: state.mtu,
    mac: macOf(record),
    bridge: state.bridge,
    hostIfname: record.hostIfname,
    ...(record.ports !== undefined && { ports: record.ports }),
    how,
  };
}
