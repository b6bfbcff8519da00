/**
 * Runs all tests: `deno task test [--only GROUP[,GROUP…]] [--binary] [--long] [--filter TEXT]`.
 *
 * The groups are unit, doc (the examples in doc comments), store, kernel, vm (what needs IPVS: on a distribution's kernel in a virtual
 * machine where the running one has none), e2e, chaos, compile, package (what `deno task package` makes of `dist/knet`, installed and
 * removed), binary (a short end-to-end set, which e2e then leaves out) and docs (the commands of README and manual). A run that compiles
 * tries `dist/knet` everywhere, others the sources, or with `--binary` the `dist/knet` that is there. `--long` runs the end-to-end files
 * that a run of all leaves out or cuts short, in place of the others. `deno task test:dqlite` runs those of them that any store will do for
 * with the one that hosts hold themselves. The last line is `N passed, N failed, N skipped`; the exit status is 1 if anything failed.
 *
 * @module
 */
import { setUp } from "./setup.ts";
import { checkTypes, compileBinary } from "./support/compile.ts";
import { docSources } from "./support/doc_sources.ts";
import { E2E, type EndToEnd, endToEndPath, FOLDERS } from "./support/groups.ts";
import { STORES } from "./support/lab.ts";
import { whyNoLab } from "./support/skip.ts";
import { addTally, couldNotStart, runTests, type Tally } from "./support/tally.ts";
import { ipvsHere } from "./support/vm_initrd.ts";
import { runVmTests } from "./support/vm_tests.ts";

const root = new URL("..", import.meta.url).pathname;
const binary = `${root}dist/knet`;

// The binary first: it is what most of them try. What measures how soon something happens comes after the virtual machine.
const GROUPS = [
  "compile",
  "unit",
  "doc",
  "store",
  "kernel",
  "package",
  "docs",
  "chaos",
  "binary",
  "vm",
  "e2e",
] as const;
type Group = (typeof GROUPS)[number];

const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0, notes: [] };

interface Choice {
  readonly groups: readonly Group[];
  /** `dist/knet` as it is, where this run does not compile it. */
  readonly withBinary: boolean;
  /** The end-to-end files that take long, whole, in place of the others. */
  readonly long: boolean;
  readonly filter: string[];
}

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task test [--only ${
      GROUPS.join("|")
    }] [--binary] [--long] [--filter TEXT]`,
  );
  Deno.exit(2);
}

function isGroup(word: string): word is Group {
  return (GROUPS as readonly string[]).includes(word);
}

function parse(args: readonly string[]): Choice {
  let only: Group[] | undefined;
  let withBinary = false;
  let long = false;
  let filter: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [flag = "", inline] = (args[i] ?? "").split("=", 2);
    const value = () => inline ?? args[++i] ?? usage(`${flag} needs a value`);
    if (flag === "--only") {
      only ??= [];
      for (const word of value().split(",")) {
        if (!isGroup(word)) usage(`There is no group "${word}"`);
        only.push(word);
      }
    } else if (flag === "--binary") withBinary = true;
    else if (flag === "--long") long = true;
    else if (flag === "--filter") filter = ["--filter", value()];
    else usage(`There is no option "${flag}"`);
  }
  return { groups: only ?? GROUPS, withBinary, long, filter };
}

/** The end-to-end files of a group: `binary` has a few, and e2e the others. */
function e2eFiles(group: "binary" | "e2e"): EndToEnd[] {
  const beside = !choice.long && choice.groups.includes("binary") && hasBinary();
  return E2E.filter((file) => file.skipped === undefined).filter((file) =>
    !(file.elsewhere && STORES[0] === "dqlite")
  ).filter((file) => {
    if (group === "binary") return file.short;
    if (file.short && beside || file.binaryOnly && compiled().KNET_BIN === undefined) return false;
    return choice.long ? file.long !== undefined : file.long !== "only";
  });
}

/** Runs end-to-end files, those that mostly wait beside the others. */
async function runEndToEnd(
  files: readonly EndToEnd[],
  env: Record<string, string>,
): Promise<Tally> {
  const lane = (waiting: boolean) => {
    const paths = files.filter(({ waits = false }) => waits === waiting).map(({ name }) =>
      endToEndPath(name)
    );
    return paths.length === 0 ? NOTHING : runTests(paths, testOptions, env, waiting);
  };
  const [others, waiting] = await Promise.all([lane(false), lane(true)]);
  return addTally(others, waiting);
}

async function runGroup(group: Group, choice: Choice): Promise<Tally> {
  switch (group) {
    case "unit":
      return await runTests(FOLDERS.unit, testOptions, compiled());
    case "doc": {
      // Most examples make a network namespace of their own.
      const reason = whyNoLab();
      if (reason !== undefined) {
        return { passed: 0, failed: 0, skipped: 1, notes: [`SKIPPED doc examples: ${reason}`] };
      }
      return await runTests(["--doc", ...await docSources(root)], choice.filter); // Examples are checked here alone.
    }
    case "store":
    case "kernel":
    case "package":
    case "docs":
      return await runTests(FOLDERS[group], testOptions);
    case "vm":
      return await (vmAhead ?? vmTests(write));
    case "e2e":
      return await runEndToEnd(e2eFiles("e2e"), {
        ...compiled(),
        ...(choice.long && { KNET_TEST_LONG: "1" }),
      });
    case "compile":
      return await compileBinary(root);
    case "chaos":
      return await runTests(FOLDERS.chaos, testOptions, hasBinary() ? { KNET_BIN: binary } : {});
    case "binary":
      if (!hasBinary()) return couldNotStart("binary", "there is no dist/knet, see compile");
      return await runEndToEnd(e2eFiles("binary"), { KNET_BIN: binary });
  }
}

/** The binary that this run has compiled is what its commands and agents are: users run that, and it starts in a third of the time. */
function compiled(): Record<string, string> {
  const wanted = choice.withBinary || choice.groups.includes("compile");
  return wanted && hasBinary() ? { KNET_BIN: binary } : {};
}

/** What needs IPVS, with the binary where there is one. */
function vmTests(print: (text: string) => void): Promise<Tally> {
  const environment = hasBinary() ? { KNET_BIN: binary } : {};
  return runVmTests(FOLDERS.vm[0], choice.filter, print, environment);
}

function hasBinary(): boolean {
  try {
    return Deno.statSync(binary).isFile;
  } catch {
    return false;
  }
}

const encoder = new TextEncoder();
const write = (text: string) => void Deno.stdout.writeSync(encoder.encode(text));
const secondsSince = (begin: number) => ((performance.now() - begin) / 1000).toFixed(0);

const choice = parse(Deno.args);
/** A run of most groups checks all types once; each group by itself would do so again. */
const checksTypes = choice.groups.includes("unit");
const testOptions = checksTypes ? [...choice.filter, "--no-check"] : choice.filter;
let vmDone: { readonly seconds: string; readonly output: string } | undefined;
Deno.chdir(root);
await setUp("test");
const start = performance.now();
/**
 * The virtual machine is busy for minutes, and the groups before it leave it one processor most of the time. The end-to-end tests come
 * after it: they would leave it too little for what is waited for in it.
 */
let vmAhead: Promise<Tally> | undefined;
function startVmAhead(): void {
  let output = "";
  const began = performance.now();
  vmAhead = vmTests((text) => output += text);
  vmAhead = vmAhead.finally(() => vmDone = { seconds: secondsSince(began), output });
  vmAhead.catch(() => {}); // Told where it is waited for.
}
const vmBeside = choice.groups.includes("vm") && choice.groups[0] !== "vm" && !ipvsHere();
// Emulated, agents start much sooner from the binary: it is waited for.
if (vmBeside && choice.groups[0] !== "compile") startVmAhead();
let total = NOTHING;
const seconds: string[] = [];
if (checksTypes) {
  const began = performance.now();
  console.log("\n== types");
  total = addTally(total, await checkTypes(root));
  seconds.push(`types ${secondsSince(began)} s`);
}
for (const group of choice.groups) {
  const began = performance.now();
  console.log(`\n== ${group}`);
  const tally = await runGroup(group, choice).catch((error) => {
    console.error(error);
    return couldNotStart(group, error);
  });
  total = addTally(total, tally);
  if (group === "compile" && vmBeside && vmAhead === undefined) startVmAhead();
  if (group === "vm" && vmDone !== undefined) {
    write(vmDone.output);
    seconds.push(`vm ${vmDone.seconds} s beside`);
  } else seconds.push(`${group} ${secondsSince(began)} s`);
}
for (const { name, skipped } of E2E) {
  if (skipped === undefined) continue;
  total = addTally(total, {
    passed: 0,
    failed: 0,
    skipped: 1,
    notes: [`SKIPPED ${endToEndPath(name)}: ${skipped}`],
  });
}
console.log(
  `\n${seconds.join(", ")}; together ${secondsSince(start)} s`,
);
for (const note of total.notes) console.log(note);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
Deno.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
