/**
 * One step of a packet's way, and how entries are written down: as iproute2 does, which administrators
 * read every day.
 *
 * @module
 */
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
  | "outside";

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
  words.push("proto", KNET_PROTOCOLS[route.protocol] ?? `${route.protocol}`);
  if (route.nexthopId !== undefined) words.push("nhid", `${route.nexthopId}`);
  return words.join(" ");
}

/** NUD_ bits of linux/neighbour.h. */
const STATES: readonly (readonly [bit: number, name: string])[] = [
  [0x80, "PERMANENT"],
  [0x40, "NOARP"],
  [0x02, "REACHABLE"],
  [0x04, "STALE"],
  [0x08, "DELAY"],
  [0x10, "PROBE"],
  [0x20, "FAILED"],
  [0x01, "INCOMPLETE"],
];

/** NUD_PERMANENT of linux/neighbour.h */
export const NUD_PERMANENT = 0x80;
/** NUD_FAILED of linux/neighbour.h */
export const NUD_FAILED = 0x20;

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
