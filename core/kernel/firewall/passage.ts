/**
 * Whether other programs' chains let a packet pass, as far as their rules tell. Pure.
 *
 * A chain drops by its policy, by its last rule, or by a chain that it jumps to (ufw's, firewalld's). A rule whose conditions are not
 * understood counts as one that the packet does not meet, and a drop that names addresses or ports is somebody's intention: neither
 * makes a chain one that drops what it does not know.
 *
 * @module
 */
import { addressBits, familyOf } from "../../base/address.ts";
import type { Packet } from "./packet_match.ts";
import { type Chain, type ChainName, type Expression, isDrop, type Rule } from "./ruleset.ts";
import { COMMENT } from "./table.ts";
import { type Rules, walk } from "./walk.ts";

/** The rules of a chain, by its name in the same table. */
export type Lookup = (chain: ChainName) => readonly Rule[];

/** Whether a base chain drops the packet. Knet's own rules in it are passed over: the question is whether they are needed. */
export function drops(chain: Chain, packet: Packet, lookup: Lookup): boolean {
  const rules: Rules = {
    rulesOf: (chain) => lookup(chain).filter((rule) => rule.comment !== COMMENT && !isMeant(rule)),
    setsOf: () => NO_SETS,
  };
  const { surely } = walk(rules, chain, packet);
  return surely === "drop" || surely === undefined && chain.policy === "drop";
}

/** Whether a rule drops what it names. */
function isMeant({ expr }: Rule): boolean {
  const verdict = expr.at(-1);
  return verdict !== undefined && isDrop(verdict) && expr.some(isNamed);
}

/** What is in a named set is somebody's intention. */
const NO_SETS = new Map<string, readonly unknown[]>();

/** Whether a condition is about addresses or ports. */
function isNamed(condition: Expression): boolean {
  const { left } = (condition["match"] ?? {}) as { left?: { payload?: { field?: string } } };
  // The protocol in the header is none: `meta l4proto` says the same.
  return left?.payload !== undefined && left.payload.field !== "protocol";
}

/** IPPROTO_IPIP. */
export const IPIP = 4;

/** Whether a number or name is that of IPIP. */
export const isIpip = (right: unknown): boolean =>
  right === IPIP || right === "ipencap" || right === "ipip" || right === "ipv4";

/** An address as a prefix of all its bits. */
export function single(address: string): string {
  return `${address}/${addressBits(familyOf(address))}`;
}
