/**
 * The tables that the benchmark of services prints.
 *
 * @module
 */
import { table } from "../../cli/output.ts";
import type { ServiceAgentFigures } from "./svc_agent.ts";
import type { EntriesFigures } from "./svc_entries.ts";
import type { ModeFigures } from "./svc_iptables.ts";
import type { TimesFigures } from "./svc_times.ts";

/** Everything that was measured. */
export interface Figures {
  readonly date: string;
  readonly kernel: string;
  /** Whether the processor was emulated. */
  readonly emulated?: boolean;
  readonly entries?: readonly EntriesFigures[];
  readonly agent?: ServiceAgentFigures;
  readonly times?: TimesFigures;
  /** The agent on the machine itself, where its kernel has no IPVS: all checks, no programming. */
  readonly agentHere?: ServiceAgentFigures;
  readonly iptables?: {
    readonly results: readonly ModeFigures[];
    readonly leftOut: readonly string[];
  };
}

/** A number in a column: more digits after small ones. */
function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "";
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

const times = (value: number, by: number) => `${figure(value / by)} x`;

/** knet against `ipvsadm -R`: a column per number of services. */
export function entriesTable(results: readonly EntriesFigures[]): string {
  const first = results[0];
  const row = (name: string, of: (one: EntriesFigures) => string) => [name, ...results.map(of)];
  return table(
    ["milliseconds; services × 10 real servers:", ...results.map((one) => `${one.services}`)],
    [
      row("ipvsadm -R, from empty", (one) => figure(one.ipvsadm)),
      row("knet, the same entries from empty", (one) => figure(one.servers)),
      row("  ipvsadm / knet", (one) => times(one.ipvsadm, one.servers)),
      row(
        "  per entry, against the first column",
        (one) => times(one.servers / one.services, first!.servers / first!.services),
      ),
      row("knet, virtual IPs and masquerading too", (one) => figure(one.whole)),
      row("one weight changed", (one) => figure(one.change)),
      row("  ipvsadm -R / that", (one) => times(one.ipvsadm, one.change)),
      row("a new agent, nothing to do", (one) => figure(one.restart)),
      row("a look for drift", (one) => figure(one.check)),
      row("  the same, connections having changed", (one) => figure(one.busyCheck)),
      row("cat /proc/net/ip_vs", (one) => figure(one.cat)),
      row("  look / cat", (one) => times(one.check, one.cat)),
    ],
  );
}

/** knet against kube-proxy's iptables rules: a row per way and number of services. */
export function iptablesTable(results: readonly ModeFigures[]): string {
  return table(
    [
      ...["services", "by", "from empty, ms", "one more, ms", "one more, partly, ms"],
      ...["connect to the last, µs", "kernel, MiB", "process, MiB"],
    ],
    results.toSorted((a, b) => a.services - b.services).map((one) => [
      `${one.services}`,
      one.mode,
      figure(one.whole),
      figure(one.add),
      figure(one.addPartly),
      figure(one.connect),
      figure(one.kernel),
      figure(one.resident),
    ]),
  );
}

/** The compiled agent. */
export function agentTable(one: ServiceAgentFigures): string {
  return table(["compiled agent, 1,000 × 10 services", ""], [
    ["checks a second, asked for", figure(one.wanted)],
    ["checks a second, done", figure(one.checks)],
    ["resident, MiB (median)", figure(one.resident)],
    ["resident, MiB (most)", figure(one.most)],
    ["processor, % of a core", figure(one.processor)],
    ["  without checks: looking for drift", figure(one.looks)],
    ["all programmed again after ipvsadm -C, ms", figure(one.healed)],
  ]);
}

/** What an administrator waits for. */
export function timesTable(times: TimesFigures): string {
  const rows = times.map(([what, took]) => [what, figure(took.median), figure(took.most)]);
  return table(["milliseconds, compiled agents", "median", "most"], rows);
}
