/**
 * One step of a packet's way, and how entries are written down: as iproute2 does, which administrators
 * read every day.
 *
 * @module
 */
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from "../../../ffi/linux/neighbour.ts";
import { RT_TABLE_MAIN } from "../../../ffi/linux/rtnetlink.ts";
import type { Neighbour } from "../../../ffi/rtnl/neighbour.ts";
import type { Route } from "../../../ffi/rtnl/route.ts";

/** Where on its way the packet is. */
export type StepName =
  | "container"
  | "bridge"
  | "forwarding"
  | "route"
  | "neighbour"
  | "fdb"
  | "tunnel"
  | "outer"
  | "peer"
  | "delivery"
  | "outside"
  | "input"
  | "service"
  | "port";

/** One step. */
export interface TraceStep {
  readonly step: StepName;
  /** "broken": the packet gets no further. "warn": it does, but not for long or not always. */
  readonly status: "ok" | "warn" | "broken";
  /** What happens here, in words. */
  readonly detail: string;
  /** The live entry of the kernel that decides, as iproute2 writes it. */
  readonly entry?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

const KNET_PROTOCOLS: Record<number, string> = { 2: "kernel", 3: "boot", 4: "static" };

/** A route in iproute2's words. */
export function routeText(route: Route, device: string): string {
  const words = [route.dst];
  if (route.gateway !== undefined) words.push("via", route.gateway);
  words.push("dev", device);
  if (route.onlink) words.push("onlink");
  if (route.table !== RT_TABLE_MAIN) words.push("table", `${route.table}`);
  words.push("proto", KNET_PROTOCOLS[route.protocol] ?? `${route.protocol}`);
  if (route.nexthopId !== undefined) words.push("nhid", `${route.nexthopId}`);
  return words.join(" ");
}

const STATES: readonly (readonly [bit: number, name: string])[] = [
  [NUD_PERMANENT, "PERMANENT"],
  [NUD_NOARP, "NOARP"],
  [NUD_REACHABLE, "REACHABLE"],
  [NUD_STALE, "STALE"],
  [NUD_DELAY, "DELAY"],
  [NUD_PROBE, "PROBE"],
  [NUD_FAILED, "FAILED"],
  [NUD_INCOMPLETE, "INCOMPLETE"],
];

/** A neighbour in iproute2's words. */
export function neighbourText(neighbour: Neighbour, device: string): string {
  const state = STATES.find(([bit]) => neighbour.state & bit)?.[1] ?? "NONE";
  const mac = neighbour.mac === undefined ? "" : ` lladdr ${neighbour.mac}`;
  return `${neighbour.dst} dev ${device}${mac} ${state}`;
}

/** A step that is as it should be. */
export function fine(step: StepName, detail: string, entry?: string): TraceStep {
  return { step, status: "ok", detail, ...(entry !== undefined && { entry }) };
}

/** A step at which the packet is lost. */
export function broken(step: StepName, detail: string, remedy: string, entry?: string): TraceStep {
  return { step, status: "broken", detail, remedy, ...(entry !== undefined && { entry }) };
}

/** A step that works, with something to know. */
export function doubtful(
  step: StepName,
  detail: string,
  remedy: string,
  entry?: string,
): TraceStep {
  return { step, status: "warn", detail, remedy, ...(entry !== undefined && { entry }) };
}
