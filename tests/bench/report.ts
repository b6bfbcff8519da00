/**
 * The tables that the benchmark prints.
 *
 * @module
 */
import { table } from "../../cli/output.ts";
import type { EntriesResult } from "./entries.ts";

/** Milliseconds in a column: two significant digits after small numbers. */
export function figure(value: number | undefined): string {
  if (value === undefined) return "";
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** Programming and reconciling, a row per rival or case, a column per number of peers. */
export function entriesTable(
  results: readonly EntriesResult[],
  limitMissing: string | undefined,
): string {
  const row = (name: string, of: (result: EntriesResult) => string) => [name, ...results.map(of)];
  const times = (value: number, by: number | undefined) =>
    by === undefined ? "" : `${(value / by).toFixed(2)} x`;
  const rows = [
    row("knet, plan and send", (r) => figure(r.knet)),
    row("  the first run in a process", (r) => figure(r.knetCold)),
    row("the limit (limit.c)", (r) => figure(r.limit)),
    row("  knet / limit", (r) => times(r.knet, r.limit)),
    row("ip and bridge -batch, next-hop objects", (r) => figure(r.iproute2Nexthops)),
    row("  iproute2 / knet", (r) => times(r.iproute2Nexthops, r.knet)),
    row("ip and bridge -batch, plain routes", (r) => figure(r.iproute2Plain)),
    row("  iproute2 / knet", (r) => times(r.iproute2Plain, r.knet)),
    row("reconcile, nothing to do", (r) => figure(r.nothing)),
    row("reconcile, all entries deleted", (r) => figure(r.deleted)),
    row("one peer changed", (r) => figure(r.changed)),
  ];
  const text = table(["milliseconds, peers:", ...results.map((r) => `${r.peers}`)], rows);
  return limitMissing === undefined ? text : `${text}\nNo limit: ${limitMissing}`;
}
