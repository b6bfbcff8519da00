/**
 * Whether other programs' rules mean a packet: nftables' matches, as far as they ask for what is known of it. Pure.
 *
 * @module
 */
import { addressBits, addressToNumber, familyOf, parsePrefix } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import type { Expression } from "./ruleset.ts";

/** The first packet of a connection, or all such packets of a network. */
export interface Packet {
  readonly family: Family;
  /** Absent: any. */
  readonly protocol?: "tcp" | "udp" | "sctp" | "icmp" | "ipip";
  /** Destination port; absent: any. */
  readonly port?: number;
  /** Address or network that it comes from; absent: any. */
  readonly from?: string;
  /** Address or network that it goes to; absent: any. */
  readonly to?: string;
  /** Name of the device that it comes in by; absent: not known, but not the loopback device; empty: by none. */
  readonly iif?: string;
  /** Name of the device that it leaves by, likewise. */
  readonly oif?: string;
  /** Whether its destination is an address of this host. */
  readonly local: boolean;
}

/** Whether a rule means the packet: "some" if only part of such packets, or if it asks for what is not known here. */
export type Match = "all" | "some" | "none";

/** Elements of the named sets and maps of a table. */
export type Sets = ReadonlyMap<string, readonly unknown[]>;

/** All of what matches at once. */
export function both(a: Match, b: Match): Match {
  if (a === "none" || b === "none") return "none";
  return a === "all" && b === "all" ? "all" : "some";
}

/** Either of what matches. */
function either(matches: Iterable<Match>): Match {
  let best: Match = "none";
  for (const match of matches) {
    if (match === "all") return "all";
    if (match === "some") best = "some";
  }
  return best;
}

/**
 * What is known of a packet's field: the names for its one value, or a span of numbers. "absent": it has no such field, and no rule
 * that asks for it means it; undefined: not known.
 */
type Field = readonly (string | number)[] | Span | "absent" | undefined;

interface Span {
  readonly first: bigint;
  readonly last: bigint;
  readonly family?: Family;
}

const NAMES = {
  icmp: ["icmp", 1],
  ipip: ["ipip", "ipencap", "ipv4", 4],
  tcp: ["tcp", 6],
  udp: ["udp", 17],
  sctp: ["sctp", 132],
} as const;

/** Whether a `match` expression means the packet. */
export function matches(expression: unknown, packet: Packet, sets: Sets): Match {
  const { op, left, right } = expression as { op?: string; left?: unknown; right?: unknown };
  const field = fieldOf(left, packet);
  if (field === "absent") return "none";
  if (field === undefined && right === "lo") return op === "!=" ? "all" : "none";
  if (op !== "==" && op !== "in" && op !== "!=") return "some";
  const match = compare(field, right, sets);
  if (op !== "!=" || match === "some") return match;
  return match === "all" ? "none" : "all";
}

/** Whether the key of a verdict map has a value. */
export function keyMatches(key: unknown, value: unknown, packet: Packet, sets: Sets): Match {
  return matches({ op: "==", left: key, right: value }, packet, sets);
}

function fieldOf(left: unknown, packet: Packet): Field {
  if (typeof left !== "object" || left === null) return undefined;
  const { meta, payload, ct, fib, concat } = left as {
    meta?: { key?: string };
    payload?: { protocol?: string; field?: string };
    ct?: { key?: string };
    fib?: { result?: string; flags?: readonly string[] };
    concat?: readonly unknown[];
  };
  if (concat !== undefined) {
    return concat.some((one) => fieldOf(one, packet) === "absent") ? "absent" : undefined;
  }
  const transport = packet.protocol && NAMES[packet.protocol];
  if (payload !== undefined) return payloadOf(payload, packet, transport);
  switch (meta?.key) {
    case "l4proto":
      return transport;
    case "protocol":
      return [packet.family === 4 ? "ip" : "ip6"];
    case "nfproto":
      return [`ipv${packet.family}`];
    case "pkttype":
      return ["host", "unicast"];
    case "iifname":
    case "iif":
      return device(packet.iif);
    case "oifname":
    case "oif":
      return device(packet.oif);
  }
  if (ct?.key === "state") return ["new"];
  if (ct?.key === "direction") return ["original"];
  // What is new is neither translated nor confirmed yet.
  if (ct?.key === "status") return [];
  if (fib?.result === "type" && fib.flags?.length === 1 && fib.flags[0] === "daddr") {
    return [packet.local ? "local" : "unicast"];
  }
  return undefined;
}

function device(name: string | undefined): Field {
  if (name === "") return "absent";
  return name === undefined ? undefined : [name];
}

function payloadOf(
  { protocol, field }: { readonly protocol?: string; readonly field?: string },
  packet: Packet,
  transport: Field,
): Field {
  if (protocol === "ip" || protocol === "ip6") {
    if ((protocol === "ip") !== (packet.family === 4)) return "absent";
    if (field === "saddr") return addresses(packet.from);
    if (field === "daddr") return addresses(packet.to);
    return field === "protocol" || field === "nexthdr" ? transport : undefined;
  }
  if (packet.protocol === undefined) return undefined;
  if (protocol !== "th" && protocol !== packet.protocol) {
    return ["tcp", "udp", "sctp", "icmp", "icmpv6", "udplite", "dccp"].includes(protocol ?? "")
      ? "absent"
      : undefined;
  }
  if (field !== "dport") return undefined;
  return packet.port === undefined
    ? undefined
    : { first: BigInt(packet.port), last: BigInt(packet.port) };
}

function addresses(text: string | undefined): Span | undefined {
  if (text === undefined) return undefined;
  const family = familyOf(text);
  const { address, length } = text.includes("/")
    ? parsePrefix(text)
    : { address: text, length: addressBits(family) };
  return spanOf(address, length, family);
}

function spanOf(address: string, length: number, family: Family): Span {
  const size = 1n << BigInt(addressBits(family) - length);
  const first = addressToNumber(address) / size * size;
  return { first, last: first + size - 1n, family };
}

function compare(field: Field, right: unknown, sets: Sets): Match {
  if (typeof right === "string" && right.startsWith("@")) {
    const elements = sets.get(right.slice(1));
    return elements === undefined ? "some" : compare(field, elements, sets);
  }
  if (Array.isArray(right)) {
    return either(right.map((part) => compare(field, part, sets)));
  }
  if (typeof right === "object" && right !== null) {
    const { set, elem, "|": flags } = right as {
      set?: unknown;
      elem?: { val?: unknown };
      "|"?: unknown;
    };
    const inner = set ?? elem?.val ?? flags;
    if (inner !== undefined) return compare(field, inner, sets);
  }
  if (field === undefined) return "some";
  if (field === "absent") return "none";
  if ("first" in field) return compareSpan(field, right);
  if (typeof right !== "string" && typeof right !== "number") return "some";
  return field.some((one) =>
      one === right || typeof one === "string" && typeof right === "string" &&
        right.endsWith("*") && one.startsWith(right.slice(0, -1))
    )
    ? "all"
    : "none";
}

function compareSpan(field: Span, right: unknown): Match {
  const other = rightSpan(right);
  if (other === undefined) return "some";
  if (other.family !== field.family || other.last < field.first || field.last < other.first) {
    return "none";
  }
  return other.first <= field.first && field.last <= other.last ? "all" : "some";
}

/** Undefined if it is no address, port, prefix or range. */
function rightSpan(right: unknown): Span | undefined {
  try {
    if (typeof right === "number") return { first: BigInt(right), last: BigInt(right) };
    if (typeof right === "string") return addresses(right);
    const { range, prefix } = right as {
      range?: readonly [unknown, unknown];
      prefix?: { addr: string; len: number };
    };
    if (prefix !== undefined) return spanOf(prefix.addr, prefix.len, familyOf(prefix.addr));
    const [first, last] = range!.map(rightSpan);
    return { ...first!, last: last!.last };
  } catch {
    return undefined;
  }
}

/** What an expression that is no `match` and no verdict does to a rule's meaning. */
export function statementMatch(expression: Expression): Match {
  const [name = ""] = Object.keys(expression);
  if (PASSED.has(name)) return "all";
  if (name !== "xt") return "some";
  const { type, name: what = "" } = (expression["xt"] ?? {}) as { type?: string; name?: string };
  if (type === "target" && PASSED_TARGETS.has(what)) return "all";
  return type === "match" && what === "comment" ? "all" : "some";
}

/** Statements that let a packet go on. */
const PASSED = new Set(["counter", "log", "mangle", "notrack", "last", "flow", "ct helper"]);

/** Targets of iptables that let a packet go on. */
const PASSED_TARGETS = new Set(
  "AUDIT CHECKSUM CLASSIFY CONNMARK CT DSCP HL LOG MARK NFLOG NOTRACK SET TCPMSS TOS TRACE TTL"
    .split(" "),
);
