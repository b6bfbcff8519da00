/**
 * What an agent of three takes that has nothing to do: processor time in a hundred seconds, memory, what it writes to the disk, and how
 * often each of its threads runs. `deno task bench:idle [--seconds N] [--runs N] [--services N] [--store KIND]… BINARY…`; several
 * binaries and stores (sqlite, postgres, dqlite) are measured in turn, on the same machine. Of hosts that hold the store themselves it is
 * the one that leads.
 *
 * @module
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { printError, table } from "../../cli/output.ts";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Background } from "../support/exec.ts";
import { Lab, STORE_KINDS, type StoreKind } from "../support/lab.ts";
import { median, sleep, until } from "../support/wait.ts";

/** Hosts of a cluster. */
const HOSTS = 3;

/** What is measured. */
interface Case {
  readonly binary: string;
  readonly store: StoreKind;
}

/** Processor time of a process, milliseconds; bytes that it wrote to a disk; and how often its threads were given a processor. */
interface Usage {
  readonly milliseconds: number;
  readonly written: number;
  readonly turns: ReadonlyMap<string, number>;
}

/** A number of `/proc/PID/FILE` (proc(5)). */
function numberIn(pid: number, file: string, name: string): number {
  return Number(
    new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(Deno.readTextFileSync(`/proc/${pid}/${file}`))?.[1],
  );
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
  return { milliseconds: nanoseconds / 1e6, written: numberIn(pid, "io", "write_bytes"), turns };
}

const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

/** Hosts whose data are on a disk. */
async function hostsOf(store: StoreKind, folder: string): Promise<Lab> {
  const lab = await Lab.create({ hosts: 0, ...(store !== "dqlite" && { store }) });
  for (let n = 1; n <= HOSTS; n++) {
    const host = await lab.addHost(store === "dqlite" ? { storeUrl: "" } : {});
    await Deno.mkdir(`${folder}/${lab.prefix}-${n}`);
    await host.run(["mount", "--bind", `${folder}/${lab.prefix}-${n}`, "/run/host/data"]);
  }
  return lab;
}

/** Lets them join; the agent of the first. */
async function joinAll(lab: Lab, store: StoreKind): Promise<Background> {
  const [first, ...others] = lab.hosts;
  const init = ["--service-network", "10.96.0.0/16"];
  if (store !== "dqlite") {
    await first!.knet(["init", ...init]);
    const agent = await first!.join();
    for (const host of others) await host.join();
    return agent;
  }
  const agent = await first!.join({ args: init, env: OWN });
  const token = (await first!.knet("token")).stdout.trim().split(" ").at(-1)!;
  for (const host of others) await host.join({ args: [token] });
  await until("all vote", async () => {
    const { store } = await first!.knetJson<StatusReport>("status");
    return store.copies?.filter(({ role }) => role === "voter").length === HOSTS;
  }, { deadline: 60_000 });
  return agent;
}

/** An idle agent for a while. */
async function measure({ binary, store }: Case, seconds: number, services: number) {
  Deno.env.set("KNET_BIN", resolve(binary));
  const folder = await Deno.makeTempDir({ dir: "/var/tmp", prefix: "knet-idle-" });
  await using _folder = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  await using lab = await hostsOf(store, folder);
  const agent = await joinAll(lab, store);
  for (let n = 1; n <= services; n++) {
    await lab.host(1).knet(["svc", "add", `s${n}`, "--vip", `10.96.0.${n}`, "--port", "80"]);
  }
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
  return {
    share: (after.milliseconds - before.milliseconds) / passed / 10,
    written: (after.written - before.written) / passed * 60 / 1024,
    resident: numberIn(agent.pid, "status", "VmRSS") / 1024,
    turns,
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "20" },
    runs: { type: "string", default: "3" },
    services: { type: "string", default: "0" },
    store: { type: "string", multiple: true, default: ["sqlite"] },
  },
});
const [seconds, runs, services] = [values.seconds, values.runs, values.services].map(Number);
const isKind = (word: string): word is StoreKind =>
  (STORE_KINDS as readonly string[]).includes(word);
const stores = values.store.filter(isKind);
if (
  positionals.length === 0 || !(seconds! > 0) || !(runs! > 0) || !(services! >= 0) ||
  stores.length < values.store.length
) {
  printError(
    `usage: deno task bench:idle [--seconds N] [--runs N] [--services N] [--store ${
      STORE_KINDS.join("|")
    }]… BINARY…`,
  );
  Deno.exit(2);
}
const cases: Case[] = positionals.flatMap((binary) => stores.map((store) => ({ binary, store })));
const results = new Map(cases.map((one) => [one, [] as Awaited<ReturnType<typeof measure>>[]]));
for (let run = 0; run < runs!; run++) {
  for (const [one, list] of results) list.push(await measure(one, seconds!, services!));
}
const middle = (one: Case, key: "share" | "written" | "resident") =>
  median(results.get(one)!.map((result) => result[key]));
console.log(table(
  ["BINARY", "STORE", "% OF A PROCESSOR", "RATIO", "MIB", "KIB WRITTEN A MINUTE", "TURNS A SECOND"],
  cases.map((one) => [
    one.binary,
    one.store,
    middle(one, "share").toFixed(3),
    (middle(one, "share") / middle(cases[0]!, "share")).toFixed(2),
    middle(one, "resident").toFixed(1),
    middle(one, "written").toFixed(0),
    [...results.get(one)!.at(-1)!.turns].filter(([, count]) => count >= 0.1)
      .sort(([, a], [, b]) => b - a).map(([thread, count]) => `${thread} ${count.toFixed(1)}`)
      .join(", "),
  ]),
));
