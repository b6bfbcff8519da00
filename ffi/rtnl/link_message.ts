/**
 * What links look like, and their messages (struct ifinfomsg, linux/if_link.h).
 *
 * Longer than others: each attribute stands here as a field, as it is written and as it is read.
 *
 * @module
 */
import { formatAddress, formatMac } from "../ip.ts";
import { IFF_LOWER_UP, IFF_UP } from "../linux/if.ts";
import {
  DEVCONF_DISABLE_IPV6,
  IFINFOMSG,
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_BRPORT_MODE,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INET6_CONF,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_VXLAN_COLLECT_METADATA,
  IFLA_VXLAN_ID,
  IFLA_VXLAN_LEARNING,
  IFLA_VXLAN_LINK,
  IFLA_VXLAN_LOCAL,
  IFLA_VXLAN_LOCAL6,
  IFLA_VXLAN_PORT,
  VETH_INFO_PEER,
} from "../linux/if_link.ts";
import { NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST } from "../linux/netlink.ts";
import { RTM } from "../linux/rtnetlink.ts";
import { AF_INET6 } from "../linux/socket.ts";
import type { Mutable } from "../mutable.ts";
import type { Batch } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";

const encoder = new TextEncoder();

/** What makes a link a VXLAN device. */
export interface VxlanInfo {
  /** VXLAN network identifier. */
  readonly vni: number;
  /** UDP destination port. */
  readonly port: number;
  /** Source address of the outer packets. */
  readonly local?: string;
  /** Index of the underlay interface. */
  readonly link?: number;
  /** It learns from the packets that arrive which VTEP has which MAC address. */
  readonly learning: boolean;
  /** Takes its VNI from each packet's metadata. */
  readonly external?: boolean;
}

/** One link. */
export interface Link {
  /** The kernel's number for it. */
  readonly index: number;
  /** As `ip link` shows it. */
  readonly name: string;
  /** Empty if it has none. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  /** IFF_ bits of linux/if.h. */
  readonly flags: number;
  /** IFF_UP: the administrator wants it up. */
  readonly up: boolean;
  /** IFF_LOWER_UP: there is a carrier. */
  readonly carrier: boolean;
  /** Absent for physical devices. */
  readonly kind?: string;
  /** Index of the bridge or bond that it is a port of. */
  readonly master?: number;
  /** Index of the link below or the other end. */
  readonly link?: number;
  /** Id of the namespace that `link` is in. */
  readonly linkNetns?: number;
  /** IN6_ADDR_GEN_MODE_ number. */
  readonly addrGenMode?: number;
  /** Whether IPv6 is on; absent where it cannot be: the kernel has none, or the MTU is too small for it. */
  readonly ipv6?: boolean;
  /** A note that goes with the device (`ip link set DEV alias TEXT`). */
  readonly alias?: string;
  /** Of a bridge's port: a frame may leave by the port that it came in by. */
  readonly hairpin?: boolean;
  /** Present if `kind` is `vxlan`. */
  readonly vxlan?: VxlanInfo;
}

/** A link to make. */
export interface LinkSpec {
  /** At most 15 bytes. */
  readonly name: string;
  /** `vxlan`, `bridge`, `veth`, `dummy`, or what else the kernel makes. */
  readonly kind: string;
  /** Absent: a random one. */
  readonly mac?: string;
  /** Bytes. */
  readonly mtu?: number;
  /** Set it up at once. */
  readonly up?: boolean;
  /** Index of the bridge that it becomes a port of. */
  readonly master?: number;
  /** IN6_ADDR_GEN_MODE_ number; 1 for no IPv6 link-local address. */
  readonly addrGenMode?: number;
  /** Needed if `kind` is `vxlan`. */
  readonly vxlan?: VxlanInfo;
  /** The other end of a veth pair. */
  readonly peer?: {
    readonly name: string;
    readonly mac?: string;
    readonly mtu?: number;
    /** Descriptor of the namespace that it is made in. */
    readonly netns?: number;
  };
  /** Descriptor of the namespace that it is made in. */
  readonly netns?: number;
}

/** What to change of a link. */
export interface LinkChange {
  /** The new name. */
  readonly name?: string;
  /** The new MAC address; the kernel deletes all permanent neighbours with the old one. */
  readonly mac?: string;
  /** Bytes. */
  readonly mtu?: number;
  /** Set it up or down. */
  readonly up?: boolean;
  /** 0 takes it out of its bridge. */
  readonly master?: number;
  /** Descriptor of the namespace that it moves to. */
  readonly netns?: number;
  /** IN6_ADDR_GEN_MODE_ number. */
  readonly addrGenMode?: number;
  /** A note that goes with the device, at most 255 bytes; empty for none. */
  readonly alias?: string;
  /** Of what is a bridge's port already: whether a frame may leave by the port that it came in by. */
  readonly hairpin?: boolean;
  /** What the kernel changes of a VXLAN device in place. */
  readonly vxlan?: { readonly local?: string; readonly link?: number };
}

/** Writes a struct ifinfomsg. */
export function linkHeader(batch: Batch, index: number, flags: number, change: number): void {
  batch.u8(0);
  batch.u8(0);
  batch.u16(0);
  batch.u32(index);
  batch.u32(flags);
  batch.u32(change);
}

function common(
  batch: Batch,
  link: Pick<LinkChange, "name" | "mac" | "mtu" | "master" | "netns" | "addrGenMode" | "alias">,
): void {
  if (link.name !== undefined) batch.attrString(IFLA_IFNAME, link.name);
  if (link.mac !== undefined) batch.attrMac(IFLA_ADDRESS, link.mac);
  if (link.mtu !== undefined) batch.attrU32(IFLA_MTU, link.mtu);
  if (link.master !== undefined) batch.attrU32(IFLA_MASTER, link.master);
  if (link.netns !== undefined) batch.attrU32(IFLA_NET_NS_FD, link.netns);
  // Without a closing zero: the kernel keeps all bytes, and none of them means none.
  if (link.alias !== undefined) batch.attrBytes(IFLA_IFALIAS, encoder.encode(link.alias));
  if (link.addrGenMode !== undefined) {
    const families = batch.beginNest(IFLA_AF_SPEC | NLA_F_NESTED);
    const inet6 = batch.beginNest(AF_INET6 | NLA_F_NESTED);
    batch.attrU8(IFLA_INET6_ADDR_GEN_MODE, link.addrGenMode);
    batch.endNest(inet6);
    batch.endNest(families);
  }
}

function vxlanData(batch: Batch, vxlan: Partial<VxlanInfo>): void {
  const data = batch.beginNest(IFLA_INFO_DATA | NLA_F_NESTED);
  if (vxlan.vni !== undefined) batch.attrU32(IFLA_VXLAN_ID, vxlan.vni);
  if (vxlan.link !== undefined) batch.attrU32(IFLA_VXLAN_LINK, vxlan.link);
  if (vxlan.local !== undefined) {
    batch.attrAddress(
      vxlan.local.includes(":") ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL,
      vxlan.local,
    );
  }
  if (vxlan.learning !== undefined) batch.attrU8(IFLA_VXLAN_LEARNING, vxlan.learning ? 1 : 0);
  if (vxlan.port !== undefined) batch.attrU16be(IFLA_VXLAN_PORT, vxlan.port);
  batch.endNest(data);
}

/** Writes a message that makes a link; `addrGenMode` is passed over, see {@linkcode addLink}. */
export function encodeLink(batch: Batch, spec: LinkSpec): void {
  batch.begin(
    RTM.NEWLINK,
    NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
    () => `add ${spec.kind} device "${spec.name}"`,
  );
  const { addrGenMode: _, up, ...atOnce } = spec;
  linkHeader(batch, 0, up ? IFF_UP : 0, up ? IFF_UP : 0);
  common(batch, atOnce);
  const info = batch.beginNest(IFLA_LINKINFO | NLA_F_NESTED);
  batch.attrString(IFLA_INFO_KIND, spec.kind);
  if (spec.vxlan !== undefined) vxlanData(batch, spec.vxlan);
  if (spec.peer !== undefined) {
    const data = batch.beginNest(IFLA_INFO_DATA | NLA_F_NESTED);
    const peer = batch.beginNest(VETH_INFO_PEER | NLA_F_NESTED);
    linkHeader(batch, 0, 0, 0);
    common(batch, spec.peer);
    batch.endNest(peer);
    batch.endNest(data);
  }
  batch.endNest(info);
  batch.end();
}

/** Writes a message that changes a link in place. */
export function encodeLinkChange(batch: Batch, index: number, change: LinkChange): void {
  const { up, vxlan, hairpin } = change;
  batch.begin(
    RTM.NEWLINK,
    NLM_F_REQUEST,
    () => `change ${Object.keys(change).join(", ")} of device #${index}`,
  );
  linkHeader(batch, index, up ? IFF_UP : 0, up === undefined ? 0 : IFF_UP);
  common(batch, change);
  if (vxlan !== undefined) {
    const info = batch.beginNest(IFLA_LINKINFO | NLA_F_NESTED);
    batch.attrString(IFLA_INFO_KIND, "vxlan");
    vxlanData(batch, vxlan);
    batch.endNest(info);
  }
  if (hairpin !== undefined) {
    const info = batch.beginNest(IFLA_LINKINFO | NLA_F_NESTED);
    batch.attrString(IFLA_INFO_SLAVE_KIND, "bridge");
    const data = batch.beginNest(IFLA_INFO_SLAVE_DATA | NLA_F_NESTED);
    batch.attrU8(IFLA_BRPORT_MODE, hairpin ? 1 : 0);
    batch.endNest(data);
    batch.endNest(info);
  }
  batch.end();
}

// One of each level for all links: a host of many containers has many, and they are read whole.
const attributes = new Attributes();
const inner = new Attributes();
const innermost = new Attributes();

/** Reads a link; undefined if the message is none or a bridge's note about a port. */
export function decodeLink(message: MessageView): Link | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < IFINFOMSG || data[offset] !== 0) return undefined;
  const a = attributes.parse(data, view, offset + IFINFOMSG, end);
  const flags = view.getUint32(offset + 8, true);
  const mac = a.length(IFLA_ADDRESS) === 6 ? formatMac(data, a.at(IFLA_ADDRESS)) : "";
  const link: Mutable<Link> = {
    index: view.getInt32(offset + 4, true),
    name: a.string(IFLA_IFNAME) ?? "",
    mac,
    mtu: a.u32(IFLA_MTU) ?? 0,
    flags,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
  };
  const master = a.u32(IFLA_MASTER);
  if (master !== undefined) link.master = master;
  const below = a.u32(IFLA_LINK);
  if (below !== undefined) link.link = below;
  const netns = a.u32(IFLA_LINK_NETNSID);
  if (netns !== undefined) link.linkNetns = netns;
  const alias = a.string(IFLA_IFALIAS);
  if (alias !== undefined) link.alias = alias;
  const inet6 = a.nested(IFLA_AF_SPEC, inner)?.nested(AF_INET6, innermost);
  if (inet6 !== undefined) {
    const mode = inet6.u8(IFLA_INET6_ADDR_GEN_MODE);
    if (mode !== undefined) link.addrGenMode = mode;
    const off = inet6.at(IFLA_INET6_CONF, 4 * (DEVCONF_DISABLE_IPV6 + 1));
    if (off >= 0) link.ipv6 = view.getInt32(off + 4 * DEVCONF_DISABLE_IPV6, true) === 0;
  }
  const info = a.nested(IFLA_LINKINFO, inner);
  const kind = info?.string(IFLA_INFO_KIND);
  if (kind !== undefined) link.kind = kind;
  const vxlan = kind === "vxlan" ? info!.nested(IFLA_INFO_DATA, innermost) : undefined;
  if (vxlan !== undefined) link.vxlan = decodeVxlan(vxlan);
  else if (info?.string(IFLA_INFO_SLAVE_KIND) === "bridge") {
    const mode = info.nested(IFLA_INFO_SLAVE_DATA, innermost)?.u8(IFLA_BRPORT_MODE);
    if (mode !== undefined) link.hairpin = mode === 1;
  }
  return link;
}

function decodeVxlan(a: Attributes): VxlanInfo {
  const vxlan: Mutable<VxlanInfo> = {
    vni: a.u32(IFLA_VXLAN_ID) ?? 0,
    port: a.u16be(IFLA_VXLAN_PORT) ?? 0,
    learning: (a.u8(IFLA_VXLAN_LEARNING) ?? 0) !== 0,
  };
  const local4 = a.at(IFLA_VXLAN_LOCAL, 4);
  const local6 = a.at(IFLA_VXLAN_LOCAL6, 16);
  if (local4 >= 0) vxlan.local = formatAddress(a.data, local4, 4);
  else if (local6 >= 0) vxlan.local = formatAddress(a.data, local6, 6);
  const link = a.u32(IFLA_VXLAN_LINK);
  if (link) vxlan.link = link;
  if (a.u8(IFLA_VXLAN_COLLECT_METADATA)) vxlan.external = true;
  return vxlan;
}
