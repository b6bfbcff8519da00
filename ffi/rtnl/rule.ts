/**
 * Rules of policy routing: which table is asked for which packet (struct fib_rule_hdr, linux/fib_rules.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress } from "../ip.ts";
import {
  FIB_RULE_HDR,
  FIB_RULE_INVERT,
  FRA_DST,
  FRA_FWMARK,
  FRA_FWMASK,
  FRA_GOTO,
  FRA_IIFNAME,
  FRA_L3MDEV,
  FRA_OIFNAME,
  FRA_PRIORITY,
  FRA_SRC,
  FRA_SUPPRESS_PREFIXLEN,
  FRA_TABLE,
  FRA_UID_RANGE,
} from "../linux/fib_rules.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import { RTM } from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** One rule. What is absent may be anything. */
export interface Rule {
  /** Of the packets. */
  readonly family: Family;
  /** Rules are asked in this order. */
  readonly priority: number;
  /** FR_ACT_ number. */
  readonly action: number;
  /** 254 is the main table; 0 where the action names none. */
  readonly table: number;
  /** It is for packets that do not match. */
  readonly invert: boolean;
  /** Source, with prefix length. */
  readonly src?: string;
  /** Destination, with prefix length. */
  readonly dst?: string;
  /** Name of the device that the packet came in by; `lo` for the host's own. */
  readonly iif?: string;
  /** Name of the device that the socket is bound to. */
  readonly oif?: string;
  readonly fwmark?: number;
  /** Bits of the mark that count. */
  readonly fwmask?: number;
  /** The table's routes of this prefix length and less do not count. */
  readonly suppress?: number;
  /** Priority of the rule to go on with. */
  readonly goto?: number;
  /** It asks the table of the VRF that the packet's device is in. */
  readonly l3mdev?: boolean;
  /** First and last user id of the socket's owner. */
  readonly users?: readonly [first: number, last: number];
}

const attributes = new Attributes();

/** Reads a rule; undefined if the message is none of IPv4 or IPv6. */
export function decodeRule(message: MessageView): Rule | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < FIB_RULE_HDR) return undefined;
  const family = familyOfAf(data[offset]!);
  if (family === undefined) return undefined;
  const a = attributes.parse(data, view, offset + FIB_RULE_HDR, end);
  const rule: Mutable<Rule> = {
    family,
    priority: a.u32(FRA_PRIORITY) ?? 0,
    action: data[offset + 7]!,
    table: a.u32(FRA_TABLE) ?? data[offset + 4]!,
    invert: (view.getUint32(offset + 8, true) & FIB_RULE_INVERT) !== 0,
  };
  const network = (type: number, length: number) => {
    const at = a.at(type, family === 4 ? 4 : 16);
    return at < 0 ? undefined : `${formatAddress(data, at, family)}/${length}`;
  };
  const dst = network(FRA_DST, data[offset + 1]!);
  if (dst !== undefined) rule.dst = dst;
  const src = network(FRA_SRC, data[offset + 2]!);
  if (src !== undefined) rule.src = src;
  const iif = a.string(FRA_IIFNAME);
  if (iif !== undefined) rule.iif = iif;
  const oif = a.string(FRA_OIFNAME);
  if (oif !== undefined) rule.oif = oif;
  const fwmark = a.u32(FRA_FWMARK);
  if (fwmark !== undefined) rule.fwmark = fwmark;
  const fwmask = a.u32(FRA_FWMASK);
  if (fwmask !== undefined) rule.fwmask = fwmask;
  const suppress = a.u32(FRA_SUPPRESS_PREFIXLEN);
  // -1: none is left out.
  if (suppress !== undefined && suppress !== 0xffffffff) rule.suppress = suppress;
  const target = a.u32(FRA_GOTO);
  if (target !== undefined) rule.goto = target;
  if (a.u8(FRA_L3MDEV) === 1) rule.l3mdev = true;
  const users = a.at(FRA_UID_RANGE, 8);
  if (users >= 0) rule.users = [view.getUint32(users, true), view.getUint32(users + 4, true)];
  return rule;
}

/**
 * Lists the rules, in the order in which they are asked.
 *
 * @throws {NetlinkError}
 */
export function listRules(socket: NetlinkSocket, family: Family): Rule[] {
  const rules: Rule[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETRULE, NLM_F_REQUEST | NLM_F_DUMP, () => "list rules");
    batch.u8(afOf(family));
    batch.u8(0);
    batch.u8(0);
    batch.u8(0);
    batch.u32(0);
    batch.u32(0);
    batch.end();
  }, (message) => {
    const rule = message.type === RTM.NEWRULE ? decodeRule(message) : undefined;
    if (rule !== undefined) rules.push(rule);
  }, { restart: () => rules.length = 0 });
  return rules;
}

const ACTIONS: Readonly<Record<number, string>> = {
  3: "nop",
  6: "blackhole",
  7: "unreachable",
  8: "prohibit",
};
const TABLES: Readonly<Record<number, string>> = { 253: "default", 254: "main", 255: "local" };

/** A rule in iproute2's words. */
export function ruleText(rule: Rule): string {
  const words = [`${rule.priority}:`];
  if (rule.invert) words.push("not");
  words.push("from", rule.src === undefined ? "all" : networkText(rule.src));
  if (rule.dst !== undefined) words.push("to", networkText(rule.dst));
  if (rule.fwmark !== undefined) words.push("fwmark", markText(rule.fwmark, rule.fwmask));
  if (rule.iif !== undefined) words.push("iif", rule.iif);
  if (rule.oif !== undefined) words.push("oif", rule.oif);
  if (rule.users !== undefined) words.push("uidrange", rule.users.join("-"));
  if (rule.l3mdev) words.push("lookup", "[l3mdev-table]");
  else if (rule.goto !== undefined) words.push("goto", `${rule.goto}`);
  else words.push(ACTIONS[rule.action] ?? `lookup ${TABLES[rule.table] ?? rule.table}`);
  if (rule.suppress !== undefined) words.push("suppress_prefixlength", `${rule.suppress}`);
  return words.join(" ");
}

/** One address is written without its length. */
function networkText(network: string): string {
  return network.replace(network.includes(":") ? /\/128$/ : /\/32$/, "");
}

function markText(mark: number, mask = 0xffffffff): string {
  const hex = (n: number) => `0x${n.toString(16)}`;
  return mask === 0xffffffff ? hex(mark) : `${hex(mark)}/${hex(mask)}`;
}
