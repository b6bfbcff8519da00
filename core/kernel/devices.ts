/**
 * knet's devices on this host: the backend's and the bridge. What they should be like, what has to be
 * done about those that are there, and doing it.
 *
 * @module
 */
import { IN6_ADDR_GEN_MODE_NONE } from "../../ffi/linux/if_link.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import {
  addLink,
  changeLink,
  deleteLink,
  getLink,
  type Link,
  type LinkChange,
  listLinks,
} from "../../ffi/rtnl/link.ts";
import { KnetError } from "../base/error.ts";
import { type AddressedSpec, setAddresses } from "./device_addresses.ts";
import { bothSet, type Parameter, type ParametersSet, setParameters } from "./device_parameters.ts";
import { aliasOf, isMade, isOwn, type Owner, readMark, refuseOthers } from "./owner.ts";

/** A device as it should be. */
export interface DeviceSpec extends AddressedSpec {
  /** "tun" is made by whoever opens /dev/net/tun; here it is only looked after. */
  readonly kind: "vxlan" | "bridge" | "dummy" | "tun";
  /** Absent where the device has none (tun). */
  readonly mac?: string;
  /** Bytes. */
  readonly mtu: number;
  /** Kernel parameters of the device, set before it comes up. */
  readonly parameters?: readonly Parameter[];
  /** Those of a bridge that somebody else made: what knet needs, and nothing that is its maker's to say. */
  readonly guestParameters?: readonly Parameter[];
  /** Whose mark it bears; absent: nobody's. */
  readonly owner?: Owner;
  /** Whether the device is to have IPv6 addresses of its own making; absent: no. */
  readonly linkLocal?: boolean;
  readonly vxlan?: {
    readonly vni: number;
    readonly port: number;
    /** Source of the outer packets. */
    readonly local: string;
    /** Index of the underlay interface. */
    readonly link: number;
  };
}

/** What has to be done about one device. */
export type DevicePlan =
  | { readonly action: "keep"; readonly index: number }
  | { readonly action: "change"; readonly index: number; readonly change: LinkChange }
  | { readonly action: "create" }
  | { readonly action: "replace"; readonly index: number; readonly why: string };

/**
 * Compares a device with the links of the host. One of the right shape is kept, so that an agent's restart loses no packet; what can
 * be changed in place is; VNI, port and learning cannot.
 *
 * @throws {KnetError} exit code 3 if another VXLAN device owns the same VNI and port, 4 if the device is another knet's, 2 if it is
 * something else of somebody's.
 */
export function planDevice(spec: DeviceSpec, links: readonly Link[]): DevicePlan {
  const present = links.find((link) => link.name === spec.name);
  if (spec.vxlan !== undefined) {
    const other = otherOwner(spec, spec.vxlan, links);
    if (other !== undefined) return { action: "replace", index: other.index, why: "of its name" };
  }
  if (present === undefined) return { action: "create" };
  if (spec.owner !== undefined) refuseOthers([present], spec.owner);
  if (present.kind !== spec.kind) {
    refuseOthersDevice(spec, present);
    return {
      action: "replace",
      index: present.index,
      why: `it is a ${present.kind ?? "physical"} device`,
    };
  }
  const change: { -readonly [key in keyof LinkChange]: LinkChange[key] } = {};
  if (spec.vxlan !== undefined) {
    const { vni, port, local, link } = spec.vxlan;
    const is = present.vxlan;
    const wrong = is === undefined
      ? "it tells nothing of its VXLAN"
      : is.vni !== vni
      ? `its VNI is ${is.vni}`
      : is.port !== port
      ? `its port is ${is.port}`
      : is.learning
      ? "it learns addresses"
      : undefined;
    if (wrong !== undefined) return { action: "replace", index: present.index, why: wrong };
    if (is!.local !== local || is!.link !== link) change.vxlan = { local, link };
  }
  const made = isMade(spec, present);
  const alias = aliasOf(spec, present, made);
  if (alias !== undefined) change.alias = alias;
  // Absent where the device has no part in IPv6: the kernel has none, or the MTU is too small for it.
  if (
    made && !spec.linkLocal &&
    (present.addrGenMode ?? IN6_ADDR_GEN_MODE_NONE) !== IN6_ADDR_GEN_MODE_NONE
  ) {
    change.addrGenMode = IN6_ADDR_GEN_MODE_NONE;
  }
  // A bridge may be in a VRF; what carries the overlay is nobody's port.
  if (spec.kind !== "bridge" && present.master !== undefined) change.master = 0;
  if (spec.mac !== undefined && present.mac !== spec.mac) change.mac = spec.mac;
  if (present.mtu !== spec.mtu) change.mtu = spec.mtu;
  if (!present.up) change.up = true;
  return Object.keys(change).length === 0
    ? { action: "keep", index: present.index }
    : { action: "change", index: present.index, change };
}

/**
 * What has a name of knet's own and is something else gives way. A name that the administrator chose may be that of the host's uplink.
 *
 * @throws {KnetError} exit code 2
 */
function refuseOthersDevice({ kind, owner }: DeviceSpec, { name, alias, ...link }: Link): void {
  const mark = readMark(alias);
  if (name.startsWith("knet") || (mark && owner && isOwn(mark, owner))) return;
  throw new KnetError(
    `Cannot use "${name}" as ${kind}: it is a ${link.kind ?? "physical"} device of somebody else's`,
    { exitCode: 2, remedy: "Choose another --bridge" },
  );
}

/**
 * A device of this knet's that has another name, and the VNI and port.
 *
 * @throws {KnetError} if one that is not this knet's has them.
 */
function otherOwner(
  spec: DeviceSpec,
  wanted: NonNullable<DeviceSpec["vxlan"]>,
  links: readonly Link[],
): Link | undefined {
  const owner = links.find((link) =>
    link.name !== spec.name && link.vxlan !== undefined && link.vxlan.vni === wanted.vni &&
    link.vxlan.port === wanted.port
  );
  const mark = readMark(owner?.alias);
  if (owner === undefined) return undefined;
  if (mark?.made && spec.owner !== undefined && isOwn(mark, spec.owner)) return owner;
  throw new KnetError(
    `Cannot create device "${spec.name}": "${owner.name}" owns VNI ${wanted.vni} on port ${wanted.port}`,
    {
      exitCode: 3,
      remedy:
        `Remove "${owner.name}" if nothing uses it any more, or give the cluster another --vni or --port`,
    },
  );
}

/** What `ensureDevice` did. */
export interface EnsuredDevice {
  readonly index: number;
  /** Sentences for the log: empty if all was right. */
  readonly changes: readonly string[];
  /** The kernel parameters that it is to have. */
  readonly parameters: readonly Parameter[];
  /** Whether knet made it, now or earlier: somebody else's bridge keeps what is its maker's to say. */
  readonly made: boolean;
  /** What could not be done and is no reason to stop, in sentences. */
  readonly problems: readonly string[];
  /** The outer address or the underlay interface is still another one, as `keepOuter` asked. */
  readonly deferred: boolean;
  /** That outer address. */
  readonly outer?: string;
}

/**
 * Makes a device be as it should.
 *
 * @param options.links The host's, if they have just been read.
 * @param options.keepOuter Leave a VXLAN device that is there its outer address and its underlay interface for now.
 * @throws {KnetError} if another device is in the way.
 * @throws {NetlinkError} if the kernel refuses.
 */
export function ensureDevice(
  rtnl: NetlinkSocket,
  spec: DeviceSpec,
  options: { readonly keepOuter?: boolean; readonly links?: readonly Link[] } = {},
): EnsuredDevice {
  const changes: string[] = [];
  const links = options.links ?? listLinks(rtnl);
  let todo = planDevice(spec, links);
  let deferred = false;
  let index: number;
  const present = links.find(({ name }) => name === spec.name);
  const made = todo.action === "create" || todo.action === "replace" || isMade(spec, present!);
  const wanted = (made ? spec.parameters : spec.guestParameters) ?? [];
  const parameters = () => setParameters(wanted);
  let set: ParametersSet;
  switch (todo.action) {
    case "keep":
      index = todo.index;
      set = parameters();
      break;
    case "change":
      index = todo.index;
      set = parameters();
      if (options.keepOuter && todo.change.vxlan !== undefined) {
        const { vxlan: _, ...rest } = todo.change;
        deferred = true;
        if (Object.keys(rest).length === 0) break;
        todo = { ...todo, change: rest };
      }
      change(rtnl, index, todo.change);
      // With a larger MTU the device may have a part in IPv6 that it had not before.
      if (todo.change.mtu !== undefined) set = bothSet(set, parameters());
      changes.push(`changed ${Object.keys(todo.change).join(", ")} of ${spec.name}`);
      break;
    case "replace":
      deleteLink(rtnl, todo.index);
      changes.push(`replaced ${spec.name}: ${todo.why}`);
      [index, set] = createDevice(rtnl, spec);
      break;
    case "create":
      [index, set] = createDevice(rtnl, spec);
      changes.push(`created ${spec.name}`);
      break;
  }
  changes.push(...set.changes);
  changes.push(...setAddresses(rtnl, spec, index));
  const outer = links.find((link) => link.index === index)?.vxlan?.local;
  const { problems } = set;
  return {
    ...{ index, changes, problems, deferred, made, parameters: wanted },
    ...(outer !== undefined && { outer }),
  };
}

/** Makes a device; its parameters are set before it is up. */
function createDevice(rtnl: NetlinkSocket, spec: DeviceSpec): [number, ParametersSet] {
  if (spec.kind === "tun") {
    throw new KnetError(`Cannot use device "${spec.name}": nobody has made it`);
  }
  addLink(rtnl, {
    name: spec.name,
    kind: spec.kind,
    ...(spec.mac !== undefined && { mac: spec.mac }),
    mtu: spec.mtu,
    // Down until its parameters are set.
    ...(spec.vxlan && { vxlan: { ...spec.vxlan, learning: false } }),
  });
  const made = getLink(rtnl, spec.name);
  if (made === undefined) throw new KnetError(`Cannot use device "${spec.name}": it vanished`);
  const set = setParameters(spec.parameters ?? []);
  const rest = planDevice(spec, [made]);
  if (rest.action === "change") change(rtnl, made.index, rest.change);
  return [made.index, set];
}

/** Changes a device in place. */
function change(rtnl: NetlinkSocket, index: number, { addrGenMode, ...rest }: LinkChange): void {
  // First, and alone: the kernel brings a device up before it looks at the mode, and an IPv6 address is there then.
  if (addrGenMode !== undefined) changeLink(rtnl, index, { addrGenMode });
  // The kernel refuses a new MAC address on a device that is up only for some kinds; VXLAN and bridge take it.
  if (Object.keys(rest).length > 0) changeLink(rtnl, index, rest);
}

/** Deletes a device if it is there. */
export function removeDevice(rtnl: NetlinkSocket, name: string): boolean {
  const link = getLink(rtnl, name);
  if (link === undefined) return false;
  deleteLink(rtnl, link.index);
  return true;
}
