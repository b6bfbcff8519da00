/**
 * Reads hurt input until the time is over: `deno task fuzz [--seconds N] [--seed S] [--only NAME[,NAME…]]`.
 *
 * The time is shared among the fuzzers. Each says how many inputs it tried; what fails is shrunk and
 * shown with its seed, by which it comes again. The exit status is 1 if anything failed.
 *
 * @module
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import type { FuzzTarget } from "./fuzz/target.ts";
import { TARGETS } from "./fuzz/targets.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task fuzz [--seconds N] [--seed S] [--only ${
      TARGETS.map(({ name }) => name).join("|")
    }]`,
  );
  Deno.exit(2);
}

interface Choice {
  readonly seconds: number;
  readonly seed: number;
  readonly targets: readonly FuzzTarget[];
}

function choose(args: string[]): Choice {
  const options = {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() & 0x7fffffff) },
    only: { type: "string" },
  } as const;
  try {
    const { values } = parseArgs({ args, options });
    const seconds = Number(values.seconds);
    const seed = Number(values.seed);
    if (!(seconds > 0)) usage("--seconds needs a number above 0");
    if (!Number.isInteger(seed)) usage("--seed needs a whole number");
    const names = values.only?.split(",");
    const unknown = names?.find((name) => !TARGETS.some((target) => target.name === name));
    if (unknown !== undefined) usage(`There is no fuzzer "${unknown}"`);
    return {
      seconds,
      seed,
      targets: TARGETS.filter(({ name }) => names?.includes(name) ?? true),
    };
  } catch (error) {
    usage((error as Error).message);
  }
}

const { seconds, seed, targets } = choose(Deno.args);
let failed = 0;
console.log(`seed ${seed}, ${seconds} s for ${targets.length} fuzzers`);
for (const target of targets) {
  await using session = await target.open();
  const begin = performance.now();
  const details = await fc.check(session.property as fc.IAsyncProperty<unknown>, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1000 / targets.length,
  });
  const rate = Math.round(details.numRuns / ((performance.now() - begin) / 1000));
  console.log(
    `${target.name.padEnd(12)} ${String(details.numRuns).padStart(9)} inputs, ${rate} a second${
      details.failed ? ": FAILED" : ""
    }`,
  );
  if (details.failed) {
    failed++;
    const cause = details.errorInstance;
    console.log(fc.defaultReportMessage(details));
    console.log(cause instanceof Error ? cause.stack : cause);
  }
}
console.log(`${targets.length - failed} passed, ${failed} failed, 0 skipped`);
Deno.exit(failed === 0 ? 0 : 1);
