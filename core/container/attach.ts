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
import {
  type BookPlace,
  chooseAddress,
  type ContainerRecord,
  lockBook,
  readBook,
  writeBook,
} from "./addresses.ts";
import { namespaceName, openContainer } from "./namespace.ts";
import { isVanished } from "./vanished.ts";
import {
  bridgeOf,
  containerMac,
  farEndIntact,
  hostIfname,
  linksByName,
  makeWire,
  removeHostEnd,
  setWireParameters,
  type WireEnds,
} from "./wire.ts";

/** What `knet attach` was asked. */
export interface AttachOptions {
  /** A name under /run/netns, a path, or a process id. */
  readonly netns: string;
  /** Name of the interface in the namespace. The default is `eth0`. */
  readonly ifname?: string;
  /** A certain address; the default is the lowest free one. */
  readonly ip?: string;
  /** The bridge that the caller believes in; refused if this host's is another. */
  readonly bridge?: string;
  readonly stateDir: string;
  readonly dataDir: string;
  /** The default is this boot's. */
  readonly bootId?: string;
}

/** An attached container. */
export interface AttachResult {
  readonly netns: string;
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
  /** "attached": just now; "present": it was already; "repaired": it was, and its devices had to be made anew. */
  readonly how: "attached" | "present" | "repaired";
}

/**
 * Attaches a container. Needs neither the store nor a running agent, only what the agent wrote down.
 * Attaching the same interface again changes nothing, or repairs what is missing.
 *
 * @throws {KnetError} exit code 2 if the request makes no sense here, 4 if the address is taken, 1 if
 * the host has not joined, the namespace does not exist or the subnet is full.
 * @throws {NetlinkError} if the kernel refuses; nothing is left behind then.
 */
export async function attach(options: AttachOptions): Promise<AttachResult> {
  const { netns, ifname = "eth0", stateDir, dataDir } = options;
  checkInterfaceName(ifname);
  const state = stateOfHost(stateDir, netns, options.bridge);
  const place: BookPlace = { dataDir, bootId: options.bootId ?? currentBootId() };
  using namespace = openContainer(netns);
  using _lock = await lockBook(dataDir);
  using rtnl = openRtnl();
  const ends: WireEnds = {
    rtnl,
    netnsFd: namespace.fd,
    bridge: bridgeOf(rtnl, state.bridge),
    state,
  };
  const book = readBook(place);
  const present = book.find((record) =>
    record.netnsId === namespace.id && record.ifname === ifname
  );
  if (present !== undefined && prefixContains(state.subnet, present.address)) {
    return again(ends, present, options.ip);
  }
  const others = book.filter((record) => record !== present);
  const name = namespaceName(netns);
  const { address, rest } = findAddress(ends, others, name, options.ip);
  const record: ContainerRecord = {
    netns: name,
    netnsId: namespace.id,
    ifname,
    address,
    prefixLength: parsePrefix(state.subnet).length,
    hostIfname: hostIfname(namespace.id, ifname),
  };
  // The book first: an attach that is killed half-way leaves an address taken, never one given twice.
  writeBook(place, [...rest, record]);
  try {
    makeWire(ends, record);
  } catch (error) {
    writeBook(place, rest);
    throw error;
  }
  return result(state, record, "attached");
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

/** Chooses an address; if none is free, those of vanished containers are. */
function findAddress(
  { rtnl, state }: WireEnds,
  book: readonly ContainerRecord[],
  name: string,
  wanted: string | undefined,
): { address: string; rest: readonly ContainerRecord[] } {
  const choose = (records: readonly ContainerRecord[]) =>
    chooseAddress(
      { subnet: state.subnet, gateway: state.gateway, taken: records.map((r) => r.address) },
      name,
      wanted,
    );
  try {
    return { address: choose(book), rest: book };
  } catch (error) {
    const links = linksByName(rtnl);
    const rest = book.filter((record) => !isVanished(record, links));
    if (!(error instanceof KnetError) || rest.length === book.length) throw error;
    return { address: choose(rest), rest };
  }
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
    ifname: record.ifname,
    address: record.address,
    prefixLength: record.prefixLength,
    gateway: state.gateway,
    mtu: state.mtu,
    mac: containerMac(record.address),
    bridge: state.bridge,
    hostIfname: record.hostIfname,
    how,
  };
}
