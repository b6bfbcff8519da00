/**
 * The tables that the benchmark prints.
 *
 * @module
 */
import { table } from "../../cli/output.ts";
import { median } from "../support/wait.ts";
import type { AgentResult } from "./agent.ts";
import type { EntriesResult } from "./entries.ts";
import type { StartupResult } from "./startup.ts";

/** A number in a column: more digits after small ones. */
export function figure(value: number | undefined): string {
  if (value === undefined) return "";
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function ratio(value: number, by: number | undefined): string {
  return by === undefined ? "" : `${(value / by).toFixed(2)} x`;
}

/** Median of the ratios of paired runs: what else the machine does falls on both of a pair. */
export function pairedRatio(
  of: readonly number[] | undefined,
  by: readonly number[] | undefined,
): string {
  if (of === undefined || by === undefined) return "";
  return ratio(median(of.map((value, run) => value / by[run]!)), 1);
}

/** Programming and reconciling: a row per rival or case, a column per number of peers. */
export function entriesTable(
  results: readonly EntriesResult[],
  limitMissing: string | undefined,
): string {
  const row = (name: string, of: (result: EntriesResult) => string) => [name, ...results.map(of)];
  const rows = [
    row("knet, plan and send", (r) => figure(r.knet)),
    row("  the first run in a process", (r) => figure(r.knetCold)),
    row("the limit: limit.c, prebuilt batches", (r) => figure(r.limit)),
    row("  knet / limit", (r) => pairedRatio(r.runs["knet"], r.runs["limit"])),
    row("ip and bridge -batch, next-hop objects", (r) => figure(r.iproute2Nexthops)),
    row(
      "  iproute2 / knet",
      (r) => pairedRatio(r.runs["iproute2, next-hop objects"], r.runs["knet"]),
    ),
    row("ip and bridge -batch, plain routes", (r) => figure(r.iproute2Plain)),
    row("  iproute2 / knet", (r) => pairedRatio(r.runs["iproute2, plain routes"], r.runs["knet"])),
    row("reconcile, nothing to do", (r) => figure(r.nothing)),
    row("reconcile, all entries deleted", (r) => figure(r.deleted)),
    row("one peer changed, to the kernel", (r) => figure(r.changed)),
  ];
  const text = table(["milliseconds; peers:", ...results.map((r) => `${r.peers}`)], rows);
  return limitMissing === undefined ? text : `${text}\nNo limit: ${limitMissing}`;
}

/** The compiled agent: a column per number of leases in the store. */
export function agentTable(results: readonly AgentResult[]): string {
  const row = (name: string, of: (result: AgentResult) => string) => [name, ...results.map(of)];
  return table(["compiled agent; leases:", ...results.map((r) => `${r.leases}`)], [
    row("exec to the last peer's entry, ms", (r) => figure(r.lastEntry)),
    row("exec to ready, ms", (r) => figure(r.ready)),
    row("commit of one change to the kernel, ms", (r) => figure(r.moved)),
    row("resident memory, MiB", (r) => figure(r.resident)),
  ]);
}

/** Start-up. */
export function startupTable({ version, empty }: StartupResult): string {
  return table(["exec to exit", "milliseconds"], [
    ["knet --version", figure(version)],
    ["an empty compiled program", figure(empty)],
    ["  knet / empty", ratio(version, empty)],
  ]);
}
