/**
 * Containers follow their host: to another subnet when its lease was lost, and back onto the bridge
 * when that was made anew.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { changeLink, getLink, type Link } from "../../ffi/rtnl/link.ts";
import { listQueues } from "../../ffi/rtnl/traffic.ts";
import { familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";
import type { NodeState } from "../cluster/node_state.ts";
import { setParameters } from "../kernel/device_parameters.ts";
import {
  type AddressPool,
  chooseAddress,
  type ContainerRecord,
  lockBook,
  readBook,
  tryLockBook,
  writeBook,
} from "./addresses.ts";
import { reopen } from "./namespace.ts";
import { movePorts } from "./publish.ts";
import { shownName } from "./record.ts";
import { keepShape } from "./shaping.ts";
import {
  farEndIntact,
  linksByName,
  makeWire,
  needBridge,
  portParameters,
  readdress,
  setFarMtu,
} from "./wire.ts";
import { hostMac } from "./wire_names.ts";

/** What became of the containers when the subnet changed. */
export interface RenumberResult {
  /** Containers with their new address. */
  readonly moved: readonly ContainerRecord[];
  /** Containers that keep an address of the old subnet, since their namespace could not be reached. */
  readonly stranded: readonly ContainerRecord[];
}

/** Whether a container's address does not belong to this host's subnet any more. */
export function isStranded(record: ContainerRecord, subnet: string): boolean {
  return familyOf(record.address) === familyOf(subnet) && !prefixContains(subnet, record.address);
}

/**
 * New addresses for containers of another subnet: the same place in the new one where that is free.
 *
 * @returns the new records, in the order of `records`; undefined where the subnet is full.
 */
export function planRenumber(
  records: readonly ContainerRecord[],
  state: Pick<NodeState, "subnet" | "gateway">,
): (ContainerRecord | undefined)[] {
  const prefixLength = parsePrefix(state.subnet).length;
  const taken = records.filter((r) => !isStranded(r, state.subnet)).map((r) => r.address);
  return records.map((record) => {
    if (!isStranded(record, state.subnet)) return record;
    const pool: AddressPool = { ...state, taken };
    const address = sameHostPart(pool, record) ?? anyAddress(pool, record);
    if (address === undefined) return undefined;
    taken.push(address);
    return { ...record, address, prefixLength };
  });
}

function sameHostPart(pool: AddressPool, record: ContainerRecord): string | undefined {
  const { family, address } = parsePrefix(pool.subnet);
  if (family !== 4) return undefined;
  const number = (text: string) =>
    text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - record.prefixLength);
  const wanted = number(address) + number(record.address) % size;
  const text = [24, 16, 8, 0].map((bits) => Math.floor(wanted / 2 ** bits) % 256).join(".");
  return anyAddress(pool, record, text);
}

function anyAddress(pool: AddressPool, record: ContainerRecord, wanted?: string) {
  try {
    return chooseAddress(pool, record.netns, wanted);
  } catch (error) {
    if (error instanceof KnetError) return undefined;
    throw error;
  }
}

/**
 * Gives every attached container an address of the host's new subnet, where its namespace can still be
 * reached by the name it was attached with. Called after bridge and node state have changed.
 *
 * @param options.oldSubnet the subnet before: routes through it are led through the new gateway.
 */
export async function renumber(
  options: {
    readonly dataDir: string;
    readonly bootId?: string;
    readonly oldSubnet: string;
    readonly newState: NodeState;
  },
): Promise<RenumberResult> {
  const { oldSubnet, newState } = options;
  const place = { dataDir: options.dataDir, bootId: options.bootId ?? currentBootId() };
  using _lock = await lockBook(place.dataDir);
  const book = readBook(place);
  const plan = planRenumber(book, newState);
  const moved: ContainerRecord[] = [];
  const stranded: ContainerRecord[] = [];
  const next = book.map((record, index) => {
    const wanted = plan[index];
    if (wanted === record) return record;
    if (wanted !== undefined && move(record, wanted, oldSubnet, newState)) {
      moved.push(wanted);
      return wanted;
    }
    stranded.push(record);
    return record;
  });
  if (moved.length > 0) writeBook(place, next);
  // Those of the stranded too: their addresses are another host's.
  movePorts(book, next, newState);
  return { moved, stranded };
}

function move(
  from: ContainerRecord,
  to: ContainerRecord,
  oldSubnet: string,
  state: NodeState,
): boolean {
  using namespace = reopen(from) ?? null;
  if (namespace === null) return false;
  try {
    return readdress(namespace.fd, from, to, oldSubnet, state);
  } catch {
    return false; // Shown as stranded: one container in a strange state must not stop the others.
  }
}

/** What {@linkcode repairContainers} did and saw. */
export interface Repaired {
  /** Sentences for the log: empty if all was right. */
  readonly done: readonly string[];
  /** Some namespaces are gone: {@linkcode reclaimVanished} frees what they had. */
  readonly gone: boolean;
}

/** Where {@linkcode repairContainers} looks. */
export interface RepairOptions {
  readonly dataDir: string;
  readonly bootId?: string;
  readonly state: NodeState;
}

/**
 * Puts containers back in order: onto the bridge (deleting a bridge lets its ports go), up, with the
 * right MTU; and makes the wire anew where it was deleted while the namespace lives.
 *
 * Synchronous, and quick if nothing is wrong: one dump of links for all containers.
 */
export function repairContainers(rtnl: NetlinkSocket, options: RepairOptions): Repaired {
  const { dataDir, state } = options;
  const place = { dataDir, bootId: options.bootId ?? currentBootId() };
  const book = readBook(place);
  if (book.length === 0) return { done: [], gone: false };
  const links = linksByName(rtnl);
  const bridge = needBridge(links.get(state.bridge), state.bridge);
  const queues = book.some(({ bandwidth }) => bandwidth !== undefined) ? listQueues(rtnl) : [];
  const done: string[] = [];
  let gone = false;
  for (const record of book) {
    try {
      const host = links.get(record.hostIfname) ?? renamedBack(rtnl, links, record);
      const sentence = host === undefined
        ? remake(rtnl, bridge, record, options)
        : repairOne(rtnl, bridge, host, record, options);
      if (sentence === "gone") gone = true;
      else if (sentence !== undefined) done.push(sentence);
      const { bandwidth } = record;
      if (host === undefined || bandwidth === undefined) continue;
      if (keepShape(rtnl, host, bandwidth, state.mtu, queues, shownName(record))) {
        done.push(`limited the bandwidth of container "${shownName(record)}" again`);
      }
    } catch (error) {
      done.push(`could not repair container "${record.netns}": ${messageOf(error)}`);
    }
  }
  return { done, gone };
}

/** Gives a container's end on the host its name back, by which it is found; undefined if it is not there under any name. */
function renamedBack(
  rtnl: NetlinkSocket,
  links: ReadonlyMap<string, Link>,
  { hostIfname }: ContainerRecord,
): Link | undefined {
  const mac = hostMac(hostIfname);
  const link = [...links.values()].find((one) => one.kind === "veth" && one.mac === mac);
  if (link === undefined) return undefined;
  // Kernels before 6.2 rename only what is down.
  changeLink(rtnl, link.index, { up: false });
  changeLink(rtnl, link.index, { name: hostIfname });
  return getLink(rtnl, link.index);
}

function repairOne(
  rtnl: NetlinkSocket,
  bridge: Link,
  host: Link,
  record: ContainerRecord,
  options: RepairOptions,
): string | undefined {
  const { state } = options;
  // Looked up in the dump: two files a container are much, where there are many.
  const set = host.ipv6 === true ? setParameters(portParameters(record)).changes : [];
  const mac = hostMac(record.hostIfname);
  const change = {
    ...(host.master === bridge.index ? {} : { master: bridge.index }),
    ...(host.up ? {} : { up: true }),
    ...(host.mtu === state.mtu ? {} : { mtu: state.mtu }),
    ...(host.mac === mac ? {} : { mac }),
  };
  const reflects = host.hairpin === true && change.master === undefined;
  if (Object.keys(change).length === 0 && reflects) return set[0];
  if (change.mtu !== undefined) {
    using namespace = reopen(record) ?? null;
    if (namespace !== null) setFarMtu(namespace.fd, record.ifname, state.mtu);
  }
  if (Object.keys(change).length > 0) changeLink(rtnl, host.index, change);
  // Only what is a port can be told so.
  if (!reflects) changeLink(rtnl, host.index, { hairpin: true });
  return `changed ${
    [...Object.keys(change), ...(reflects ? [] : ["hairpin"])].join(", ")
  } of ${record.hostIfname} (container "${record.netns}")`;
}

/** Makes the wire anew; "gone" if its namespace is, where a sentence tells what was done. */
function remake(
  rtnl: NetlinkSocket,
  bridge: Link,
  record: ContainerRecord,
  options: RepairOptions,
): string | undefined {
  if (isStranded(record, options.state.subnet)) return undefined;
  using namespace = reopen(record) ?? null;
  if (namespace === null) return "gone";
  // An attach or detach that is under way knows better what this wire should be like.
  using lock = tryLockBook(options.dataDir) ?? null;
  if (lock === null) return undefined;
  const place = { dataDir: options.dataDir, bootId: options.bootId ?? currentBootId() };
  if (!readBook(place).some((other) => other.hostIfname === record.hostIfname)) return undefined;
  if (getLink(rtnl, record.hostIfname) !== undefined && farEndIntact(namespace.fd, record)) {
    return undefined;
  }
  makeWire({ rtnl, netnsFd: namespace.fd, bridge, state: options.state }, record);
  return `made the interface of container "${record.netns}" anew`;
}
