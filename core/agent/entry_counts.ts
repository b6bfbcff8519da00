/**
 * How many entries there are in the kernel and how many there should be, for the metrics.
 *
 * @module
 */
import type { Overlay } from "../overlay/overlay.ts";
import type { MetricFacts } from "./metrics.ts";

/** The entries of an overlay, by their kinds. */
export function entryCounts(
  { tables, desired }: Pick<Overlay, "tables" | "desired">,
): MetricFacts["entries"] {
  return [
    { kind: "route", present: tables.routes.size, wanted: desired.routes.size },
    { kind: "nexthop", present: tables.nexthops.size, wanted: desired.gateways.size },
    { kind: "neighbour", present: tables.neighbours.size, wanted: desired.neighbours.size },
    { kind: "fdb", present: tables.fdb.size, wanted: desired.fdb.size },
  ];
}
