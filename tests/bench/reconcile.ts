/**
 * What a full reconcile with nothing to do costs: `deno task bench:reconcile [--only PART,PART] [--rounds N]`.
 *
 * - containers: 125, 250 and 500, each in a network namespace of its own.
 * - peers: 2,500, 5,000 and 10,000.
 * - services: 500, 1,000 and 2,000 of ten real servers each.
 * - all: 250 containers, 1,000 services and 5,000 peers.
 *
 * In each part the others are 0, and what a host without anything costs is taken off. An item should cost at the largest size at
 * most 1.3 times of what it costs at the smallest. Figures are processor times of the process.
 *
 * Where the running kernel has no IPVS, the last two are measured in a virtual machine, whose processor is emulated: figures compare
 * with each other, not with those of a real machine.
 *
 * @module
 */
import { printError } from "../../cli/output.ts";
import { setUp } from "../setup.ts";
import { runInVm, vmProblem } from "../support/vm.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { type Cost, costsOf, type Load, LoadedHost } from "./reconcile_host.ts";

const PARTS = {
  containers: [125, 250, 500],
  peers: [2500, 5000, 10_000],
  services: [500, 1000, 2000],
  all: [],
} as const;
type Part = keyof typeof PARTS;
const NAMES = Object.keys(PARTS) as Part[];
const NOTHING: Load = { containers: 0, services: 0, peers: 0 };
const ALL: Load = { containers: 250, services: 1000, peers: 5000 };
/** Parts for which the kernel needs IPVS. */
const SERVICES: readonly Part[] = ["services", "all"];
/** How many times dearer an item may be at the largest size than at the smallest. */
const LINEAR = 1.3;
/** Milliseconds that the machine may live. */
const LIMIT = 600_000;

interface Choice {
  readonly parts: readonly Part[];
  readonly rounds: number;
}

function parse(args: readonly string[]): Choice {
  let choice: Choice = { parts: NAMES, rounds: 9 };
  for (let at = 0; at < args.length; at += 2) {
    const [flag, value = ""] = args.slice(at, at + 2);
    const words = value.split(",");
    if (flag === "--only" && words.every((word) => NAMES.includes(word as Part))) {
      choice = { ...choice, parts: words as Part[] };
    } else if (flag === "--rounds" && Number(value) > 0) choice = { ...choice, rounds: +value };
    else {
      printError(`Cannot understand "${flag} ${value}"`);
      printError(`usage: deno task bench:reconcile [--only ${NAMES.join("|")},…] [--rounds N]`);
      Deno.exit(2);
    }
  }
  return choice;
}

/** What hosts cost that are measured by turns. */
async function costsAt(loads: readonly Load[], rounds: number): Promise<Cost[]> {
  await using hosts = new AsyncDisposableStack();
  const runs = loads.map((load) => {
    const host = hosts.use(new LoadedHost(load));
    return () => host.reconcile();
  });
  return costsOf(runs, rounds);
}

const sum = ({ user, system }: Cost) => user + system;

/** One line of a table. */
function row(...[what, cost, rest = ""]: [what: string, cost: Cost, rest?: string]): void {
  const numbers = [sum(cost), cost.user, cost.system].map((ms) => ms.toFixed(2).padStart(9));
  console.log(`${what.padEnd(18)}${numbers.join("")}${rest}`);
}

async function measure({ parts, rounds }: Choice): Promise<void> {
  const head = ["ms", "user", "kernel", "µs each"].map((word) => word.padStart(9));
  console.log(`\n${"with nothing to do".padEnd(18)}${head.join("")}`);
  // The first host of all pays for compiling what every reconcile runs.
  await costsAt([NOTHING], rounds);
  for (const part of parts) {
    if (part === "all") {
      const { containers, services, peers } = ALL;
      const [cost] = await costsAt([ALL], rounds);
      row("all", cost!);
      console.log(`(all: ${containers} containers, ${services} services, ${peers} peers)`);
      continue;
    }
    const sizes = [0, ...PARTS[part]];
    const costs = await costsAt(sizes.map((size) => ({ ...NOTHING, [part]: size })), rounds);
    const each: number[] = [];
    costs.forEach((cost, at) => {
      const size = sizes[at]!;
      if (size > 0) each.push((sum(cost) - sum(costs[0]!)) * 1000 / size);
      row(`${size} ${part}`, cost, each.at(-1)?.toFixed(1).padStart(9));
    });
    const times = each.at(-1)! / each[0]!;
    const verdict = times <= LINEAR ? "linear" : "NOT LINEAR";
    console.log(`${part}: ${verdict}, one costs ${times.toFixed(2)} times at the largest size`);
  }
}

async function measureInVm({ parts, rounds }: Choice): Promise<void> {
  const problem = vmProblem();
  if (problem !== undefined) {
    const why = `this kernel has no IPVS, and a virtual machine ${problem}`;
    console.log(`SKIPPED bench:reconcile, ${parts.join(", ")}: ${why}`);
    return;
  }
  console.log("\nIn a virtual machine");
  const script = new URL(import.meta.url).pathname;
  const args = ["--only", parts.join(), "--rounds", `${rounds}`];
  const { code, console: said } = await runInVm(
    [Deno.execPath(), "run", "-A", "--no-check", script, ...args],
    { timeout: LIMIT, onOutput: (text) => Deno.stdout.writeSync(new TextEncoder().encode(text)) },
  );
  if (code === 0) return;
  printError(said);
  Deno.exit(code || 1);
}

const choice = parse(Deno.args);
if (ipvsHere()) await measure(choice);
else {
  await setUp("bench");
  const here = choice.parts.filter((part) => !SERVICES.includes(part));
  const elsewhere = choice.parts.filter((part) => SERVICES.includes(part));
  if (here.length > 0) await measure({ ...choice, parts: here });
  if (elsewhere.length > 0) await measureInVm({ ...choice, parts: elsewhere });
}
