/**
 * A route's metrics (RTA_METRICS, linux/rtnetlink.h), of which the MTU alone is known here.
 *
 * @module
 */
import { RTA_METRICS, RTAX_MTU } from "../linux/rtnetlink.ts";
import type { Batch } from "../netlink/batch.ts";
import { Attributes } from "../netlink/message.ts";

/** Writes the MTU, in bytes. */
export function writeMtu(batch: Batch, mtu: number): void {
  const metrics = batch.beginNest(RTA_METRICS);
  batch.attrU32(RTAX_MTU, mtu);
  batch.endNest(metrics);
}

/** What a route has of them. */
export interface RouteMetrics {
  /** It has metrics of its own: an MTU, or others that are not listed here. */
  readonly metrics?: boolean;
  /** Bytes of the largest packet (RTAX_MTU); absent: as many as the device takes. */
  readonly mtu?: number;
}

const inner = new Attributes();

/** Reads whether there are metrics, and the MTU if it is among them; undefined if there are none. */
export function readMetrics(route: Attributes): RouteMetrics | undefined {
  const metrics = route.nested(RTA_METRICS, inner);
  if (metrics === undefined) return undefined;
  const mtu = metrics.u32(RTAX_MTU);
  return { metrics: true, ...(mtu !== undefined && { mtu }) };
}
