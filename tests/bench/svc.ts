/**
 * The figures of services: `deno task bench:svc [--only PART,PART] [--sizes N,N] [--iptables nft,legacy] [--budget SECONDS]`.
 *
 * - entries: 1,000 and 5,000 services with ten real servers each, against `ipvsadm -R`; one change; a look for drift.
 * - iptables: the same services by knet and as kube-proxy's iptables mode writes them, 1 to 20,000 of them with two real servers
 *   each; stops at the largest that fits into the budget.
 * - agent: the compiled agent with 1,000 × 10 services and 1,000 checks a second.
 * - times: how long three compiled agents take to add, remove and heal a service.
 *
 * Prints tables, and writes `tests/out/svc.json` and `docs/services.svg` (the latter if iptables was measured). Where the running
 * kernel has no IPVS, the first two are measured in a virtual machine, whose processor is emulated: figures compare with each other,
 * not with those of a real machine. The others are measured in user-mode Linux, which runs at this processor's speed.
 *
 * @module
 */
import { printError } from "../../cli/output.ts";
import { compile } from "../../dist/compile.ts";
import { setUp } from "../setup.ts";
import { runInUml, umlProblem } from "../support/uml.ts";
import { runInVm, vmProblem } from "../support/vm.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { measureServiceAgent } from "./svc_agent.ts";
import { measureServiceEntries } from "./svc_entries.ts";
import { measureAgainstIptables } from "./svc_iptables.ts";
import { drawServices } from "./svc_picture.ts";
import { agentTable, entriesTable, type Figures, iptablesTable, timesTable } from "./svc_report.ts";
import { measureServiceTimes } from "./svc_times.ts";

const root = new URL("../../", import.meta.url).pathname;
const PARTS = ["entries", "iptables", "agent", "times"] as const;
type Part = (typeof PARTS)[number];
/** Parts that are measured at this processor's speed. */
const FAST: readonly Part[] = ["agent", "times"];
/** Milliseconds that the machine may live. */
const LIMIT = 1_500_000;
/** Begins the line by which the figures come out of the virtual machine. */
const MARK = "figures: ";

interface Choice {
  readonly parts: readonly Part[];
  readonly sizes: readonly number[] | undefined;
  readonly iptables: readonly string[];
  readonly budget: number;
}

function usage(problem: string): never {
  printError(
    `${problem}\nusage: deno task bench:svc [--only ${PARTS.join("|")},…] [--sizes N,N] ` +
      "[--iptables nft,legacy] [--budget SECONDS]",
  );
  Deno.exit(2);
}

function parse(args: readonly string[]): Choice {
  let choice: Choice = { parts: PARTS, sizes: undefined, iptables: ["legacy", "nft"], budget: 90 };
  for (let at = 0; at < args.length; at += 2) {
    const [flag, value = ""] = args.slice(at, at + 2);
    const words = value.split(",");
    const numbers = words.map(Number);
    const whole = numbers.every((one) => Number.isInteger(one) && one > 0);
    if (flag === "--only" && words.every((word) => PARTS.includes(word as Part))) {
      choice = { ...choice, parts: words as Part[] };
    } else if (flag === "--sizes" && whole) choice = { ...choice, sizes: numbers };
    else if (flag === "--iptables" && words.every((word) => /^(nft|legacy)$/.test(word))) {
      choice = { ...choice, iptables: words };
    } else if (flag === "--budget" && whole) choice = { ...choice, budget: numbers[0]! };
    else usage(`Cannot understand "${flag} ${value}"`);
  }
  return choice;
}

async function measure({ parts, sizes, iptables, budget }: Choice): Promise<Figures> {
  const say = (text: string) => printError(`bench: ${text}`);
  let figures: Figures = { date: new Date().toISOString(), kernel: Deno.osRelease() };
  if (parts.includes("entries")) {
    const entries = await measureServiceEntries(sizes ?? [1000, 5000], say);
    figures = { ...figures, entries };
    console.log(`\n${entriesTable(entries)}`);
  }
  if (parts.includes("agent")) {
    const agent = await measureServiceAgent(`${root}dist/knet`, say);
    figures = { ...figures, agent };
    console.log(`\n${agentTable(agent)}`);
  }
  if (parts.includes("times")) {
    const times = await measureServiceTimes(`${root}dist/knet`, say);
    figures = { ...figures, times };
    console.log(`\n${timesTable(times)}`);
  }
  if (parts.includes("iptables")) {
    const against = await measureAgainstIptables({
      sizes: sizes ?? [1, 1000, 5000, 20_000],
      iptables: iptables.map((kind) => `iptables-${kind}`),
      ...{ budget, say },
    });
    figures = { ...figures, iptables: against };
    console.log(`\n${iptablesTable(against.results)}`);
    for (const sentence of against.leftOut) console.log(`Left out: ${sentence}`);
  }
  return figures;
}

/** Measures in a machine of its own, whose files are lost: figures come back as a line of its output. */
async function measureIn(run: typeof runInVm, parts: readonly Part[]): Promise<Figures> {
  const script = new URL(import.meta.url).pathname;
  const args = [...Deno.args, "--only", parts.join()];
  let text = "";
  let figures: string | undefined;
  const { code, console: said } = await run(
    [Deno.execPath(), "run", "-A", "--no-check", script, ...args],
    {
      timeout: LIMIT,
      memory: 4096,
      onOutput: (more) => {
        text += more;
        const lines = text.split("\n");
        text = lines.pop()!;
        for (const one of lines.filter((one) => !one.startsWith(MARK))) console.log(one);
        figures ??= lines.find((one) => one.startsWith(MARK))?.slice(MARK.length);
      },
    },
  );
  if (figures !== undefined && code === 0) return JSON.parse(figures);
  printError(said);
  Deno.exit(code || 1);
}

/** What is measured in other kernels than this one. */
async function measureElsewhere(parts: readonly Part[]): Promise<Figures | undefined> {
  let result: Figures | undefined;
  for (
    const [where, run, problem, some] of [
      ["a virtual machine", runInVm, vmProblem(), parts.filter((one) => !FAST.includes(one))],
      ["user-mode Linux", runInUml, umlProblem(), parts.filter((one) => FAST.includes(one))],
    ] as const
  ) {
    if (some.length === 0) continue;
    if (problem === undefined) {
      console.log(`\nIn ${where}: ${some.join(", ")}`);
      const figures = await measureIn(run, some);
      result = { ...figures, ...result, emulated: run === runInVm || result?.emulated === true };
    } else {
      const skipped = `SKIPPED bench:svc, ${some.join(", ")}`;
      console.log(`${skipped}: this kernel has no IPVS, and ${where} ${problem}`);
    }
  }
  return result;
}

const choice = parse(Deno.args);
const guest = Deno.env.get("KNET_TEST_SLOWNESS") !== undefined;
if (guest && ipvsHere()) {
  console.log(MARK + JSON.stringify(await measure(choice)));
  Deno.exit(0);
}
await setUp("bench");
const compiled = choice.parts.some((one) => FAST.includes(one));
if (compiled && await compile(`${root}dist/knet`) !== 0) Deno.exit(1);
let result = ipvsHere() ? await measure(choice) : await measureElsewhere(choice.parts);
if (result === undefined) Deno.exit(0);
if (!ipvsHere() && choice.parts.includes("agent")) {
  // System calls cost here what they cost; this kernel only lacks IPVS.
  const say = (text: string) => printError(`bench: here: ${text}`);
  const agentHere = await measureServiceAgent(`${root}dist/knet`, say);
  result = { ...result, agentHere };
  console.log(`\nOn this machine itself, whose kernel has no IPVS:\n${agentTable(agentHere)}`);
}
Deno.mkdirSync(`${root}tests/out`, { recursive: true });
Deno.writeTextFileSync(`${root}tests/out/svc.json`, JSON.stringify(result, null, 1) + "\n");
if (result.iptables !== undefined) {
  const picture = `${root}docs/services.svg`;
  const text = drawServices(result.iptables.results, result.emulated === true);
  Deno.writeTextFileSync(picture, text);
  new Deno.Command(Deno.execPath(), { args: ["fmt", "-q", picture] }).outputSync();
}
