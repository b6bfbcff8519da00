/**
 * What commands and agent of `dist/knet` take beside an older binary:
 * `deno task bench:release --old PATH [--runs N] [--agent-runs N] [--only WORD]…`.
 *
 * Processor time and resident memory, both programs in turn, medians; `--only` picks rows by a word of
 * their names. Everything happens in folders and network namespaces of its own; needs root.
 *
 * @module
 */
import { printError, table } from "../../cli/output.ts";
import { setUp } from "../setup.ts";
import { startPostgres } from "../support/postgres.ts";
import { median } from "../support/wait.ts";
import { measureAgent } from "./agent.ts";
import { type Cost, type Program, runMeasured } from "./cost.ts";
import { compileEmpty } from "./startup.ts";

const NEW = new URL("../../dist/knet", import.meta.url).pathname;
const AGENT_SIZES = [0, 5000];
const SERVICES = 100;
const LEASES = 20;

interface Options {
  old: string;
  runs: number;
  agentRuns: number;
  only: string[];
}

/** A row of the table: what one program does once. */
interface Row {
  readonly name: string;
  readonly runs?: number;
  measure(program: Program): Promise<Cost> | Cost;
}

function parse(args: readonly string[]): Options {
  const options: Options = { old: "", runs: 15, agentRuns: 5, only: [] };
  for (let at = 0; at < args.length; at += 2) {
    const [flag, value = ""] = args.slice(at, at + 2);
    if (flag === "--old") options.old = value;
    else if (flag === "--runs" && Number(value) > 0) options.runs = Number(value);
    else if (flag === "--agent-runs" && Number(value) > 0) options.agentRuns = Number(value);
    else if (flag === "--only") options.only.push(value);
    else usage(`Cannot understand "${flag} ${value}"`);
  }
  if (options.old === "") usage("--old PATH is needed: the binary to compare with");
  return options;
}

function usage(problem: string): never {
  printError(
    `${problem}\nusage: deno task bench:release --old PATH [--runs N] [--agent-runs N] [--only WORD]…`,
  );
  Deno.exit(2);
}

/** Services with weights that differ from call to call, so that each of them is changed. */
function servicesYaml(weight: number): string {
  return "services:\n" + Array.from({ length: SERVICES }, (_, n) =>
    [
      `  - name: s${n}`,
      `    vip: 10.96.0.${n + 1}`,
      "    port: 80",
      "    to:",
      `      - 10.244.0.2:8080,weight=${weight}`,
      `      - 10.244.1.2:8080,weight=${weight}`,
      "",
    ].join("\n")).join("");
}

/** Makes a cluster with some leases in each program's own store. */
function prepareStore(program: Program, store: string): void {
  const env = { KNET_STORE: store };
  const init = ["init", "--network", "10.244.0.0/16", "--service-network", "10.96.0.0/16"];
  runMeasured(program, init, env);
  for (let n = 1; n <= LEASES; n++) {
    const address = `192.0.2.${n}`;
    runMeasured(program, ["lease", "reserve", `10.244.${n}.0/24`, "--public-ip", address], env);
  }
}

function commandRows(stores: Record<string, (program: Program) => string>, folder: string): Row[] {
  let weight = 1;
  const rows: Row[] = [
    { name: "--version", measure: (program) => runMeasured(program, ["--version"]) },
    { name: "--help", measure: (program) => runMeasured(program, ["--help"]) },
  ];
  for (const [engine, store] of Object.entries(stores)) {
    rows.push({
      name: `lease ls, ${engine}`,
      measure: (program) => runMeasured(program, ["lease", "ls"], { KNET_STORE: store(program) }),
    });
  }
  const sqlite = stores["SQLite"]!;
  rows.push({
    name: `svc apply of ${SERVICES}`,
    measure: (program) => {
      const file = `${folder}/services.yaml`;
      Deno.writeTextFileSync(file, servicesYaml(1 + weight++ % 100));
      return runMeasured(program, ["svc", "apply", "-f", file], { KNET_STORE: sqlite(program) });
    },
  });
  return rows;
}

function agentRows(runs: number): Row[] {
  return AGENT_SIZES.map((size) => ({
    name: `agent, ${size} peers`,
    runs,
    async measure({ path }: Program) {
      const [result] = await measureAgent(path, [size], 1, () => {}, { once: true });
      return { processor: result!.processor, resident: result!.resident };
    },
  }));
}

function tableOf(name: string, costs: ReadonlyMap<Program, readonly Cost[]>): string[] {
  const of = (program: Program, key: keyof Cost) => median(costs.get(program)!.map((c) => c[key]));
  const [older, newer] = [...costs.keys()] as [Program, Program];
  return [
    name,
    ...(["processor", "resident"] as const).flatMap((key) => [
      of(older, key).toFixed(1),
      of(newer, key).toFixed(1),
      (of(newer, key) / of(older, key)).toFixed(2),
    ]),
  ];
}

const { old, runs, agentRuns, only } = parse(Deno.args);
await setUp("bench");
if (Deno.uid() !== 0) {
  printError("Cannot measure: making network namespaces needs root");
  Deno.exit(3);
}
const programs: Program[] = [{ name: "old", path: old }, { name: "new", path: NEW }];
await using stack = new AsyncDisposableStack();
const folder = Deno.makeTempDirSync({ prefix: "knet-bench-" });
stack.defer(() => Deno.removeSync(folder, { recursive: true }));
const postgres = new Map<Program, string>();
for (const program of programs) {
  postgres.set(program, stack.use(await startPostgres()).url);
  Deno.mkdirSync(`${folder}/${program.name}`, { mode: 0o700 });
}
const stores = {
  SQLite: ({ name }: Program) => `sqlite:${folder}/${name}/knet.db`,
  Postgres: (program: Program) => postgres.get(program)!,
};
for (const program of programs) {
  for (const store of Object.values(stores)) prepareStore(program, store(program));
}

const head = ["", "CPU ms, old", "new", "ratio", "MiB, old", "new", "ratio"];
const rows: string[][] = [];
const wanted = (name: string) => only.length === 0 || only.some((word) => name.includes(word));
for (const row of [...commandRows(stores, folder), ...agentRows(agentRuns)]) {
  if (!wanted(row.name)) continue;
  printError(`bench: ${row.name}`);
  rows.push(tableOf(row.name, await inTurn(programs, row.runs ?? runs, row.measure)));
}
if (wanted("--version beside an empty program")) {
  const empty = { name: "empty", path: await compileEmpty(folder) };
  const pair = [empty, programs[1]!];
  rows.push(tableOf(
    "--version; old: an empty program",
    await inTurn(
      pair,
      runs,
      (program) => runMeasured(program, program === empty ? [] : ["--version"]),
    ),
  ));
}
const mib = (path: string) => (Deno.statSync(path).size / 1e6).toFixed(1);
console.log(`\n${table(head, rows)}\n`);
console.log(
  `Size: old ${mib(old)} MB, new ${
    mib(NEW)
  } MB. Medians of ${runs} runs in turn, agents ${agentRuns}.`,
);

/** Lets both programs do the same in turn; the first pair, which finds cold caches, does not count. */
async function inTurn(
  pair: readonly Program[],
  times: number,
  measure: Row["measure"],
): Promise<Map<Program, Cost[]>> {
  const costs = new Map(pair.map((program) => [program, [] as Cost[]]));
  for (let run = 0; run <= times; run++) {
    for (const program of run % 2 ? pair : pair.toReversed()) {
      const cost = await measure(program);
      if (run > 0) costs.get(program)!.push(cost);
    }
  }
  return costs;
}
