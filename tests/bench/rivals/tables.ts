/**
 * The tables that the comparison prints.
 *
 * @module
 */
import { table } from "../../../cli/output.ts";
import { median } from "../../support/wait.ts";
import { figure, pairedRatio } from "../report.ts";
import type { FailOverFigures } from "./fail_over.ts";
import type { HealingFigures } from "./healing.ts";
import type { JoinerFigures } from "./joiners.ts";
import type { StartFigures } from "./start.ts";
import type { ThroughputFigures } from "./throughput.ts";

/** A figure of each round, by who made it; the last one is the rival that the others are compared with. */
export type Rounds = ReadonlyMap<string, readonly number[]>;

/** Cells of a row: each contender's median, and for all but the last the median of its ratios to the last, round by round. */
export function comparison(rounds: Rounds): string[] {
  const all = [...rounds.values()];
  const rival = all.at(-1);
  return all.flatMap((list, n) => {
    const middle = list.length === 0 ? "" : figure(median(list));
    if (n === all.length - 1) return [middle];
    return [middle, list.length === 0 ? "" : pairedRatio(list, rival)];
  });
}

/** Headings over {@linkcode comparison}. */
export function headings(names: readonly string[]): string[] {
  return names.flatMap((name, n) => n === names.length - 1 ? [name] : [name, "ratio"]);
}

const STARTS: readonly (readonly [name: string, key: keyof StartFigures])[] = [
  ["exec to the network, ms", "network"],
  ["exec to the last peer's route, ms", "lastPeer"],
  ["processor time, ms", "processor"],
  ["resident memory, MiB", "resident"],
  ["proportional set size, MiB", "proportional"],
  ["one lease, written to routed, ms", "way"],
];

/** Start, memory and a lease's way with one number of leases in the store. */
export function startTable(size: number, figures: ReadonlyMap<string, StartFigures>): string {
  const rows = STARTS.map(([name, key]) => [
    name,
    ...comparison(new Map([...figures].map(([who, one]) => [who, one[key]]))),
  ]);
  return table([`agent; leases: ${size}`, ...headings([...figures.keys()])], rows);
}

/** How long what was deleted stayed away; what did not come back is said so. */
export function healingTable(figures: HealingFigures, patience: number): string {
  const names = [...figures.values()][0]?.keys() ?? [];
  const cell = (list: readonly (number | undefined)[]) => {
    if (list.includes(undefined)) return `never within ${patience / 1000} s`;
    return `${figure(median(list as number[]))} ms`;
  };
  return table(
    ["deleted, back after", ...names],
    [...figures].map(([name, by]) => [name, ...[...by.values()].map(cell)]),
  );
}

/** How long joiners take; the last contender is the rival. */
export function joinersTable(count: number, figures: ReadonlyMap<string, JoinerFigures>): string {
  const all = [...figures.values()];
  const names = [...figures.keys()];
  const counts = (of: (figures: JoinerFigures) => readonly number[]) =>
    all.flatMap((one, n) => {
      const text = of(one).join(", ");
      return n === all.length - 1 ? [text] : [text, ""];
    });
  return table([`${count} joiners at once`, ...headings(names)], [
    ["last network, ms", ...comparison(new Map([...figures].map(([who, one]) => [who, one.last])))],
    ["gave up, each round", ...counts(({ gaveUp }) => gaveUp)],
    ["subnets, each round", ...counts(({ subnets }) => subnets)],
  ]);
}

/** What one connection carries; the last contender is the rival. */
export function throughputTable(figures: ThroughputFigures): string {
  const names = [...figures.values()][0]?.keys() ?? [];
  const rows = [...figures].flatMap(([backend, by]) => {
    const row = (name: string, of: "gbits" | "cpu" | "retransmits") => [
      `${backend}, ${name}`,
      ...comparison(new Map([...by].map(([who, list]) => [who, list.map((one) => one[of])]))),
    ];
    return [row("Gbit/s", "gbits"), row("CPU s/GB", "cpu")];
  });
  return table(["one TCP connection", ...headings([...names])], rows);
}

/** How long new connections went to a dead real server. No ratios: each checks at its own moments of the second. */
export function failOverTable(figures: FailOverFigures): string {
  const all = Object.values(figures);
  return table([`a real server killed, ${all[0]!.length} times`, ...Object.keys(figures)], [
    ["last failed connection, ms", ...all.map((list) => figure(median(list)))],
    ["the worst of all rounds", ...all.map((list) => figure(Math.max(...list)))],
  ]);
}
