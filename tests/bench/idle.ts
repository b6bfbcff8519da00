/**
 * What an agent takes that has nothing to do: processor time in a hundred seconds, and how often each of its threads runs.
 * `deno task bench:idle [--seconds N] [--runs N] [--services N] BINARY…`; several are measured in turn, on the same machine.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { printError, table } from "../../cli/output.ts";
import { Lab } from "../support/lab.ts";
import { median, sleep } from "../support/wait.ts";

/** Processor time of a process, milliseconds, and how often its threads were given a processor. */
interface Usage {
  readonly milliseconds: number;
  readonly turns: ReadonlyMap<string, number>;
}

/** Threads of a process, by their names, from `/proc/PID/task/TID/schedstat` (proc(5)). */
function usageOf(pid: number): Usage {
  let nanoseconds = 0;
  const turns = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${name}`;
    try {
      const [time, , count] = Deno.readTextFileSync(`${folder}/schedstat`).split(" ").map(Number);
      const thread = Deno.readTextFileSync(`${folder}/comm`).trim();
      nanoseconds += time!;
      turns.set(thread, (turns.get(thread) ?? 0) + count!);
    } catch {
      // It ended meanwhile.
    }
  }
  return { milliseconds: nanoseconds / 1e6, turns };
}

/** An idle agent for a while. */
async function measure(binary: string, seconds: number, services: number) {
  Deno.env.set("KNET_BIN", binary);
  await using lab = await Lab.create({ hosts: 2 });
  const host = lab.host(1);
  await host.knet(["init", "--service-network", "10.96.0.0/16"]);
  for (let n = 1; n <= services; n++) {
    await host.knet(["svc", "add", `s${n}`, "--vip", `10.96.0.${n}`, "--port", "80"]);
  }
  const agent = await host.join();
  await lab.host(2).join();
  // What a start leaves to be done later.
  await sleep(15_000);
  const before = usageOf(agent.pid);
  const began = performance.now();
  await sleep(seconds * 1000);
  const after = usageOf(agent.pid);
  const passed = (performance.now() - began) / 1000;
  const turns = new Map<string, number>();
  for (const [thread, count] of after.turns) {
    turns.set(thread, (count - (before.turns.get(thread) ?? 0)) / passed);
  }
  return { share: (after.milliseconds - before.milliseconds) / passed / 10, turns };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "20" },
    runs: { type: "string", default: "3" },
    services: { type: "string", default: "0" },
  },
});
const [seconds, runs, services] = [values.seconds, values.runs, values.services].map(Number);
if (positionals.length === 0 || !(seconds! > 0) || !(runs! > 0) || !(services! >= 0)) {
  printError("usage: deno task bench:idle [--seconds N] [--runs N] [--services N] BINARY…");
  Deno.exit(2);
}
const results = new Map(
  positionals.map((binary) => [binary, [] as Awaited<ReturnType<typeof measure>>[]]),
);
for (let run = 0; run < runs!; run++) {
  for (const [binary, list] of results) list.push(await measure(binary, seconds!, services!));
}
const shareOf = (binary: string) => median(results.get(binary)!.map(({ share }) => share));
console.log(table(
  ["BINARY", "% OF A PROCESSOR", "RATIO", "TURNS A SECOND"],
  positionals.map((binary) => [
    binary,
    shareOf(binary).toFixed(3),
    (shareOf(binary) / shareOf(positionals[0]!)).toFixed(2),
    [...results.get(binary)!.at(-1)!.turns].filter(([, count]) => count >= 0.1)
      .sort(([, a], [, b]) => b - a).map(([thread, count]) => `${thread} ${count.toFixed(1)}`)
      .join(", "),
  ]),
));
