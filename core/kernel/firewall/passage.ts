/**
 * Whether other programs' chains let a packet pass, as far as their rules tell. Pure.
 *
 * A chain drops by its policy, by its last rule, or by a chain that it jumps to (ufw's, firewalld's). A rule whose conditions are not
 * understood counts as one that the packet does not meet, and a drop that names addresses or ports is somebody's intention: neither
 * makes a chain one that drops what it does not know.
 *
 * @module
 */
import { familyOf, parsePrefix, prefixContains, prefixesOverlap } from "../../base/address.ts";
import { type Chain, type ChainName, type Expression, isDrop, type Rule } from "./ruleset.ts";
import { COMMENT } from "./table.ts";

/** A packet that opens a connection. What is undefined may be anything. */
export interface Packet {
  /** Networks, as prefixes. */
  readonly saddr?: string;
  readonly daddr?: string;
  /** IPPROTO_ number. */
  readonly protocol?: number;
  /** Of UDP. */
  readonly dport?: number;
  readonly iifname?: string;
}

/** The rules of a chain, by its name in the same table. */
export type Lookup = (chain: ChainName) => readonly Rule[];

/** Chains that jump to each other are no deeper in the kernel (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 16;

/** Whether a base chain drops the packet. Knet's own rules in it are passed over: the question is whether they are needed. */
export function drops(chain: Chain, packet: Packet, lookup: Lookup): boolean {
  const end = walk(chain, packet, lookup, 0);
  return end === "drop" || (end === "return" && chain.policy === "drop");
}

type End = "accept" | "drop" | "return";

function walk(
  chain: ChainName,
  packet: Packet,
  lookup: Lookup,
  depth: number,
): End {
  if (depth > DEEPEST) return "return";
  const { family, table } = chain;
  for (const rule of lookup(chain)) {
    if (rule.comment === COMMENT) continue;
    const conditions = rule.expr.filter(isCondition);
    if (!conditions.every((one) => meets(one, packet) === true)) continue;
    const verdict = verdictOf(rule, packet);
    if (verdict === undefined) continue;
    if (isDrop(verdict)) {
      if (conditions.some(isNamed)) continue;
      return "drop";
    }
    // Whoever reads the queue decides.
    if ("accept" in verdict || "queue" in verdict) return "accept";
    if ("return" in verdict) return "return";
    const target = targetOf(verdict);
    if (target === undefined) continue;
    const end = walk({ family, table, name: target }, packet, lookup, depth + 1);
    if (end !== "return" || "goto" in verdict) return end;
  }
  return "return";
}

/** The last statement, or what a map of verdicts has for the packet. */
function verdictOf(rule: Rule, packet: Packet): Expression | undefined {
  const last = rule.expr.at(-1);
  const map = last?.["vmap"] as { key?: Expression; data?: { set?: unknown } } | undefined;
  if (map === undefined) return last;
  if (map.key === undefined || !Array.isArray(map.data?.set)) return undefined;
  for (const [element, verdict] of map.data.set as [unknown, Expression][]) {
    if (holds(map.key, element, packet) === true) return verdict;
  }
  return undefined;
}

/** The chain that a verdict leads to. */
function targetOf(verdict: Expression): string | undefined {
  return ((verdict["jump"] ?? verdict["goto"]) as { target?: string } | undefined)?.target;
}

/** Whether an expression decides whether the rest of its rule is done: a limit, an extension of iptables. */
function isCondition(expression: Expression): boolean {
  if ("match" in expression || "limit" in expression || "quota" in expression) return true;
  return (expression["xt"] as { type?: string } | undefined)?.type === "match";
}

interface Match {
  readonly op?: string;
  readonly left?: Expression;
  readonly right?: unknown;
}

/** Whether a packet meets a condition; undefined if that is not known. */
function meets(condition: Expression, packet: Packet): boolean | undefined {
  const xt = condition["xt"] as { name?: string } | undefined;
  if (xt?.name === "comment") return true;
  const match = condition["match"] as Match | undefined;
  if (match?.left === undefined) return undefined;
  const held = holds(match.left, match.right, packet);
  if (match.op === "==" || match.op === "in") return held;
  return match.op === "!=" && held !== undefined ? !held : undefined;
}

/** Whether a condition is about addresses or ports. */
function isNamed(condition: Expression): boolean {
  return payloadOf((condition["match"] as Match | undefined)?.left) !== undefined;
}

interface Payload {
  readonly protocol?: string;
  readonly field?: string;
}

function payloadOf(left: Expression | undefined): Payload | undefined {
  const payload = left?.["payload"] as Payload | undefined;
  // The protocol in the header is none: `meta l4proto` says the same.
  return payload?.field === "protocol" ? undefined : payload;
}

/** Whether what an expression yields for the packet is among what stands on the right; undefined if that is not known. */
function holds(left: Expression, right: unknown, packet: Packet): boolean | undefined {
  if (typeof right === "string" && right.startsWith("@")) return undefined;
  const set = Array.isArray(right) ? right : (right as { set?: unknown } | null)?.set;
  if (!Array.isArray(set)) return holdsOne(left, right, packet);
  const each = set.map((one) => holdsOne(left, one, packet));
  if (each.includes(true)) return true;
  return each.includes(undefined) ? undefined : false;
}

function holdsOne(left: Expression, right: unknown, packet: Packet): boolean | undefined {
  const elem = (right as { elem?: { val?: unknown } } | null)?.elem;
  if (elem !== undefined) return holdsOne(left, elem.val, packet);
  const key = (left["meta"] as { key?: string } | undefined)?.key;
  if (key === "iifname" || key === "iif") return isName(packet.iifname, right);
  if (key === "nfproto") return familyWordOf(packet, right);
  const payload = left["payload"] as Payload | undefined;
  if (key === "l4proto" || payload?.field === "protocol") {
    return packet.protocol === undefined ? undefined : isProtocol(packet.protocol, right);
  }
  if ((left["ct"] as { key?: string } | undefined)?.key === "state") return right === "new";
  if (payload?.field === "saddr") return isAddress(packet.saddr, right);
  if (payload?.field === "daddr") return isAddress(packet.daddr, right);
  if (payload?.field === "dport") return isPort(packet, payload, right);
  return undefined;
}

function isName(name: string | undefined, right: unknown): boolean | undefined {
  if (name === undefined || typeof right !== "string") return undefined;
  return right.endsWith("*") ? name.startsWith(right.slice(0, -1)) : name === right;
}

function familyWordOf({ saddr, daddr }: Packet, right: unknown): boolean | undefined {
  const address = saddr ?? daddr;
  return address === undefined ? undefined : right === `ipv${familyOf(address)}`;
}

/** Numbers of protocols by the names that libnftables has for them (/etc/protocols). */
const NUMBERS: Readonly<Record<string, number>> = { ipencap: 4, ipip: 4, ipv4: 4, tcp: 6, udp: 17 };

/** IPPROTO_IPIP. */
export const IPIP = 4;

/** Whether a number or name is that of a protocol. */
export function isProtocol(protocol: number, right: unknown): boolean {
  return right === protocol || NUMBERS[String(right)] === protocol;
}

function isAddress(network: string | undefined, right: unknown): boolean | undefined {
  if (network === undefined) return undefined;
  const prefix = typeof right === "string" ? single(right) : prefixOf(right);
  if (prefix === undefined) return undefined;
  try {
    const one = parsePrefix(prefix);
    if (one.family !== familyOf(network) || !prefixesOverlap(prefix, network)) return false;
    const { address, length } = parsePrefix(network);
    return one.length <= length && prefixContains(prefix, address) ? true : undefined;
  } catch {
    return undefined; // A name.
  }
}

function prefixOf(right: unknown): string | undefined {
  const { addr, len } = (right as { prefix?: { addr?: string; len?: number } } | null)?.prefix ??
    {};
  return addr === undefined ? undefined : `${addr}/${len}`;
}

/** An address as a prefix of all its bits. */
export function single(address: string): string {
  return `${address}/${familyOf(address) === 4 ? 32 : 128}`;
}

function isPort(packet: Packet, { protocol }: Payload, right: unknown): boolean | undefined {
  const { dport } = packet;
  if (packet.protocol === undefined) return undefined;
  if (protocol !== "th" && !isProtocol(packet.protocol, protocol)) return false;
  if (dport === undefined) return undefined;
  const range = (right as { range?: [number, number] } | null)?.range;
  if (range !== undefined) return range[0] <= dport && dport <= range[1];
  return typeof right === "number" ? right === dport : undefined;
}
