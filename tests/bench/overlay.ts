/**
 * The figures of the overlay: `deno task bench [--only entries|agent|startup] [--sizes N,N] [--runs N]`.
 *
 * - entries: plan and send, iproute2, the limit, reconciling; 1,000, 5,000 and 20,000 peers.
 * - agent: the compiled agent on a host of the lab with 0, 1,000, 5,000 and 20,000 leases in its store.
 * - startup: `knet --version` and an empty program.
 *
 * Prints tables and writes `tests/out/bench.json`. Works in network namespaces of its own; needs root. Nothing else should
 * run meanwhile: the figures are wall-clock times.
 *
 * @module
 */
import { compile } from "../../dist/compile.ts";
import { printError } from "../../cli/output.ts";
import { setUp } from "../setup.ts";
import { measureAgent } from "./agent.ts";
import { measureEntries } from "./entries.ts";
import { agentTable, entriesTable, startupTable } from "./report.ts";
import { measureStartup } from "./startup.ts";

const root = new URL("../../", import.meta.url).pathname;
const binary = `${root}dist/knet`;
const PARTS = ["entries", "agent", "startup"] as const;
type Part = (typeof PARTS)[number];

interface Choice {
  readonly parts: readonly Part[];
  readonly sizes: readonly number[] | undefined;
  readonly runs: number;
}

function usage(problem: string): never {
  printError(
    `${problem}\nusage: deno task bench [--only ${PARTS.join("|")}] [--sizes N,N] [--runs N]`,
  );
  Deno.exit(2);
}

function parse(args: readonly string[]): Choice {
  let parts: readonly Part[] = PARTS;
  let sizes: number[] | undefined;
  let runs = 7;
  for (let at = 0; at < args.length; at += 2) {
    const [flag, value = ""] = args.slice(at, at + 2);
    const numbers = value.split(",").map(Number);
    if (flag === "--only") {
      parts = PARTS.filter((part) => value.split(",").includes(part));
      if (parts.length === 0) usage(`There is no part "${value}"`);
    } else if (flag === "--sizes" && numbers.every(Number.isInteger)) sizes = numbers;
    else if (flag === "--runs" && numbers[0]! > 0) runs = numbers[0]!;
    else usage(`Cannot understand "${flag} ${value}"`);
  }
  return { parts, sizes, runs };
}

function environment(): Record<string, unknown> {
  return {
    date: new Date().toISOString(),
    kernel: Deno.osRelease(),
    processors: navigator.hardwareConcurrency,
    load: Deno.loadavg(),
    deno: Deno.version.deno,
  };
}

const { parts, sizes, runs } = parse(Deno.args);
const say = (text: string) => printError(`bench: ${text}`);
const needsBinary = parts.some((part) => part !== "entries");
await setUp("test");
if (Deno.uid() !== 0) {
  printError("Cannot measure: making network namespaces needs root");
  Deno.exit(3);
}
if (needsBinary && await compile(binary) !== 0) Deno.exit(1);

const document: Record<string, unknown> = { environment: environment() };
if (parts.includes("entries")) {
  const { results, limitMissing } = await measureEntries(sizes ?? [1000, 5000, 20_000], runs, say);
  document["entries"] = results;
  console.log(`\n${entriesTable(results, limitMissing)}`);
}
if (parts.includes("agent")) {
  const results = await measureAgent(binary, sizes ?? [0, 1000, 5000, 20_000], runs, say);
  document["agent"] = results;
  console.log(`\n${agentTable(results)}`);
}
if (parts.includes("startup")) {
  say("start-up");
  const result = await measureStartup(binary, 3 * runs);
  document["startup"] = result;
  console.log(`\n${startupTable(result)}`);
}
Deno.mkdirSync(`${root}tests/out`, { recursive: true });
Deno.writeTextFileSync(`${root}tests/out/bench.json`, JSON.stringify(document, null, 1) + "\n");
