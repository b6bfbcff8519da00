/**
 * Who may send to the tunnel's port: peers' hosts, and on this host only the tunnel itself. Pure.
 *
 * A tunnel carries whatever it is given, and neither VXLAN nor the udp backend knows by whom. The guard
 * is a drop at each way there is to the port:
 *
 * - in, from whom no peer has the address; and from a peer's address by a way that leads to no peer: a
 *   container of this host that forges it; and to another address of this host than peers know, which
 *   their own guards do not keep (nor a broadcast);
 * - on, for what this host forwards (a container's own datagram that is masqueraded on the way would
 *   arrive with this host's address), whichever program's bridge it comes from;
 * - out, for users of this host, and for what IPVS sends on.
 *
 * @module
 */
import { canonicalAddress, familyOf } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import { familyWord, TABLE } from "./table.ts";

/** Name of the set of peers' public addresses. */
export const PEER_SET = "peers";

/** The tunnel that is guarded. */
export interface GuardedTunnel {
  /** UDP port of the tunnel on all hosts. */
  readonly port: number;
  /** The VXLAN network identifier: others' on the same port are none of knet's business. Undefined: the whole port is knet's. */
  readonly vni: number | undefined;
  /** The device that packets into the tunnel leave by. */
  readonly device: string;
  /** User id of the process that sends by the port itself, beside root; undefined where the kernel does. */
  readonly user: number | undefined;
  /** Public addresses of the peers. */
  readonly peers: readonly string[];
  /**
   * Addresses of this host that peers send to; absent: it is not known. The kernel's tunnel takes what comes to any address, and at one
   * that is no peer's the hosts of whoever sends there do not keep it.
   */
  readonly own?: readonly string[] | undefined;
}

const SET_TYPE: Record<Family, string> = { 4: "ipv4_addr", 6: "ipv6_addr" };

/**
 * Kinds of devices (IFLA_INFO_KIND) behind which there are containers, virtual machines or programs. A veth is not among them: to a host
 * that is a container itself it is the NIC. Who routes containers by veths alone has rp_filter on them.
 */
const INNER_KINDS = ["bridge", "tun", "vxlan", "geneve"];

/**
 * Upper half of skb->priority of what entered the tunnel on this host. The outer packet still counts as its sender's, whoever that
 * is, or nobody's: so it is told from what a user or IPVS sends to the port. Users can set 0 to 6 only (SO_PRIORITY, socket(7)); it is taken off before
 * anything looks at it.
 */
const ENTERED = "0x6b6e0000";

/**
 * The set of peers and the chains, as part of a table.
 *
 * @param options.bridge Name of the bridge that containers are attached to.
 * @param options.ifaces By which the hosts are reached; the bridge may be among them. None: it is not known.
 * @param options.plain Without what older kernels or libraries do not know (the kind of an interface needs Linux 5.6): users of
 * this host, and forged addresses from other bridges than knet's, are not kept out then.
 * @throws {RangeError} if port or VNI is none.
 * @throws {SyntaxError} if a name is malformed: nothing unchecked goes into the commands.
 */
export function guardObjects(
  tunnel: GuardedTunnel,
  family: Family,
  options: {
    readonly bridge: string;
    readonly ifaces?: readonly string[];
    readonly plain?: boolean;
  },
): string[] {
  const word = familyWord(family);
  const { port, vni, peers } = tunnel;
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new RangeError(`Cannot guard UDP port ${port}: it is not between 1 and 65535`);
  }
  if (vni !== undefined && (!Number.isInteger(vni) || vni < 0 || vni >= 1 << 24)) {
    throw new RangeError(`Cannot guard VNI ${vni}: it is not between 0 and 2^24 - 1`);
  }
  const bridge = checkName(options.bridge);
  const device = checkName(tunnel.device);
  const elements = usablePeers(peers, family).join(", ");
  const own = usablePeers(tunnel.own ?? [], family);
  const astray = own.length === 0 ? [] : [`${word} daddr != ${anyOf(own)} counter drop`];
  const set = elements === "" ? "" : `elements = { ${elements} }\n`;
  // RFC 7348: 8 bytes of UDP, 4 of flags, 3 of VNI. What is for this host is whole here, fragments are put together before.
  const ours = vni === undefined ? `udp dport ${port}` : `udp dport ${port} @th,96,24 ${vni}`;
  const inner = `meta iifkind { ${INNER_KINDS.map((kind) => `"${kind}"`).join(", ")} }`;
  // By the underlay's own interface a peer may come by another way than leads to it.
  const ifaces = options.ifaces ?? [];
  const elsewhere = notBy(ifaces);
  const forged = `${elsewhere}${inner} fib saddr . iif oif missing counter drop`;
  const isUnderlay = ifaces.includes(bridge);
  const ownBridges = bridge.startsWith(TABLE) || isUnderlay ? ["knet*"] : ["knet*", bridge];
  const spoofed = isUnderlay ? [] : [`iifname "${bridge}" ${word} saddr @${PEER_SET} counter drop`];
  const chains = [
    `set ${PEER_SET} {\ntype ${SET_TYPE[family]}\n${set}}`,
    chain("guard", "filter hook input priority -300", [
      ...ownBridges.map((name) => `iifname "${name}" ${ours} counter drop`),
      `iifname "lo" ${ours} counter drop`,
      ...(options.plain ? [] : [`${ours} ${forged}`]),
      `${ours} ${word} saddr != @${PEER_SET} counter drop`,
      ...astray.map((rule) => `${ours} ${rule}`),
    ]),
    // A fragment may hide the VNI: the port alone is enough to be refused here.
    chain("guard-forward", "filter hook forward priority -300", [
      ...spoofed,
      `udp dport ${port} ${word} daddr @${PEER_SET} ${word} saddr != @${PEER_SET} counter drop`,
      ...(options.plain ? [] : [`udp dport ${port} ${word} saddr @${PEER_SET} ${forged}`]),
    ]),
  ];
  if (options.plain) return chains;
  const users = tunnel.user === undefined || tunnel.user === 0 ? "0" : `{ 0, ${tunnel.user} }`;
  const toPeers = `${ours} ${word} daddr @${PEER_SET}`;
  return [
    ...chains,
    // What IPVS sends on comes by here as well, and is nobody's.
    chain("guard-users", "filter hook output priority -300", [
      ...(vni === undefined ? [] : [
        `${ours} meta priority & 0xffff0000 == ${ENTERED} meta priority set meta priority & 0x0000ffff accept`,
      ]),
      `${toPeers} meta skuid ${users} accept`,
      `${toPeers} counter drop`,
    ]),
    ...(vni === undefined ? [] : [
      chain("guard-entry", "filter hook postrouting priority 200", [
        `oifname "${device}" meta priority set meta priority | ${ENTERED}`,
      ]),
    ]),
  ];
}

/**
 * Those of the peers' addresses that the set can hold, each once. The others are nobody's that a datagram could come from, and one of
 * them in the commands would have the kernel refuse all of them: the tunnel would stand open.
 */
export function usablePeers(peers: readonly string[], family: Family): string[] {
  return [...new Set(peers.map((address) => usable(address, family)).filter((one) => one !== ""))];
}

/**
 * The commands that add and remove peers and touch nothing else. Either may be there or gone already.
 *
 * @returns empty text if there is nothing to do.
 */
export function peerDeltaRules(
  add: readonly string[],
  remove: readonly string[],
  family: Family,
): string {
  const element = (verb: string, addresses: readonly string[]) =>
    `${verb} element ${familyWord(family)} ${TABLE} ${PEER_SET} { ${addresses.join(", ")} }`;
  const leaving = usablePeers(remove, family);
  const coming = usablePeers(add, family);
  return [
    // Deleting what is not there would fail the transaction, adding what is there does not.
    ...(leaving.length > 0 ? [element("add", leaving), element("delete", leaving)] : []),
    ...(coming.length > 0 ? [element("add", coming)] : []),
  ].join("\n");
}

/** A base chain that lets pass what its rules do not drop. */
export function chain(name: string, hook: string, rules: readonly string[]): string {
  return `chain ${name} {\ntype ${hook}; policy accept;\n${rules.join("\n")}\n}`;
}

/** Matches what comes by none of these interfaces, everything if there are none. */
export function notBy(ifaces: readonly string[]): string {
  const names = ifaces.map((name) => `"${checkName(name)}"`);
  return names.length === 0 ? "" : `iifname != ${anyOf(names)} `;
}

const anyOf = (values: readonly string[]) =>
  values.length === 1 ? values[0] : `{ ${values.join(", ")} }`;

function checkName(name: string): string {
  if (!/^[^\s"*/\\]{1,15}$/.test(name)) {
    throw new SyntaxError(`Cannot name the device "${name}" in a rule: not an interface name`);
  }
  return name;
}

/** An address in the writing in which the set lists it; empty if it is none of the family. */
function usable(text: string, family: Family): string {
  try {
    const address = canonicalAddress(text);
    return familyOf(address) === family && /^[0-9a-f.:]+$/.test(address) ? address : "";
  } catch {
    return "";
  }
}
