/**
 * Which rule of policy routing takes packets away from the table that has knet's routes. Pure.
 *
 * @module
 */
import {
  FR_ACT_BLACKHOLE,
  FR_ACT_GOTO,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
} from "../../../ffi/linux/fib_rules.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../../ffi/linux/rtnetlink.ts";
import type { Route } from "../../../ffi/rtnl/route.ts";
import type { Rule } from "../../../ffi/rtnl/rule.ts";
import { prefixesOverlap } from "../../base/address.ts";
import { KNET_PROTOCOL } from "../../kernel/kind.ts";

/** Packets as rules see them. */
export interface Flow {
  /** Network that they come from. */
  readonly from: string;
  /** Network that they go to. */
  readonly to: string;
  /** Name of the device that they come in by. */
  readonly iif: string;
}

/** What takes packets away. */
export interface Taker {
  readonly rule: Rule;
  /** Absent: the rule itself refuses them. */
  readonly route?: Route;
}

/** RTN_THROW of linux/rtnetlink.h: the lookup goes on with the next rule. */
const RTN_THROW = 9;

/** Whether a rule may mean packets without a mark: of some of them, or of all. */
export function mayMean(rule: Rule, flow: Flow): boolean {
  const marked = rule.fwmark !== undefined && rule.fwmark !== 0;
  const means = !marked && rule.oif === undefined &&
    (rule.src === undefined || prefixesOverlap(rule.src, flow.from)) &&
    (rule.dst === undefined || prefixesOverlap(rule.dst, flow.to)) &&
    (rule.iif === undefined || rule.iif === flow.iif) &&
    // What is forwarded counts as root's.
    (rule.users === undefined || rule.users[0] === 0);
  if (!rule.invert) return means;
  // Of all but a part of them some are left.
  return !means || [rule.src, rule.dst].some((part) => part !== undefined);
}

/**
 * The first rule that leads some of the packets elsewhere, before the table is asked that has knet's routes.
 *
 * @param routes of all tables.
 */
export function takerOf(
  rules: readonly Rule[],
  routes: readonly Route[],
  flow: Flow,
): Taker | undefined {
  let from = 0;
  for (const rule of rules) {
    if (rule.priority < from || !mayMean(rule, flow)) continue;
    if (rule.action === FR_ACT_GOTO) from = rule.goto ?? 0;
    if (REFUSALS.has(rule.action)) return { rule };
    if (rule.action !== FR_ACT_TO_TBL || rule.l3mdev || rule.table === RT_TABLE_LOCAL) continue;
    if (rule.table === RT_TABLE_MAIN) return undefined;
    const route = routes.find((one) =>
      one.table === rule.table && one.type !== RTN_THROW && one.protocol !== KNET_PROTOCOL &&
      Number(one.dst.split("/")[1]) > (rule.suppress ?? -1) && prefixesOverlap(one.dst, flow.to)
    );
    if (route !== undefined) return { rule, route };
  }
  return undefined;
}

const REFUSALS = new Set([FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT]);
