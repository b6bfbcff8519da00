/**
 * knet beside what does the same: `deno task bench:rivals --flanneld PATH --etcd PATH --keepalived PATH [--only PART]…
 * [--sizes N,N] [--rounds N] [--patience SECONDS] [--joiners N] [--seconds N]`.
 *
 * - start: from exec to the last peer, memory, and a lease's way from the store to the kernel, with 0, 1,000 and 5,000 leases in it;
 *   knet over SQLite and over Postgres, flannel over etcd.
 * - healing: what somebody deletes of the kernel's, and how long it stays away.
 * - throughput: one TCP connection between containers on two hosts, by each backend.
 * - joiners: agents that are started at one moment, until the last one has its network.
 * - fail-over: a real server is killed, until no new connection goes to it; knet's checks and keepalived's.
 *
 * All contenders do each thing in turn, and ratios are medians of those within a round: what else the machine does meets all of them.
 * Everything happens in network namespaces; needs root. Prints tables and writes `tests/out/rivals.json`.
 *
 * The binaries: keepalived is Debian's; etcd and etcdctl are Debian's etcd-server and etcd-client (`apt-get download`, `dpkg -x`: nothing needs to be
 * installed). flanneld is built by `go build -mod=mod` in a copy of the module github.com/flannel-io/flannel; where some module of its
 * clouds cannot be had, remove that cloud's folder in `pkg/backend`, its import in `main.go` and its lines in `go.mod`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { printError } from "../../../cli/output.ts";
import { setUp } from "../../setup.ts";
import type { Host } from "../../support/host.ts";
import { Lab } from "../../support/lab.ts";
import { type Contender, flannelOver, knetOver } from "./contender.ts";
import { Etcd } from "./etcd.ts";
import { measureFailOver } from "./fail_over.ts";
import { measureHealing } from "./healing.ts";
import { addHosts, measureJoiners } from "./joiners.ts";
import { type Entrant, measureStart } from "./start.ts";
import {
  failOverTable,
  healingTable,
  joinersTable,
  startTable,
  throughputTable,
} from "./tables.ts";
import { measureThroughput, type Pair } from "./throughput.ts";

const BINARY = new URL("../../../dist/knet", import.meta.url).pathname;
const OUT = new URL("../../out/", import.meta.url).pathname;
const PARTS = ["start", "healing", "throughput", "joiners", "fail-over"] as const;
const BACKENDS = ["host-gw", "vxlan", "udp"] as const;
type Part = (typeof PARTS)[number];

const USAGE = "usage: deno task bench:rivals --flanneld PATH --etcd PATH --keepalived PATH " +
  `[--only ${
    PARTS.join("|")
  }]… [--sizes N,N] [--rounds N] [--patience SECONDS] [--joiners N] [--seconds N]`;

interface Options {
  readonly flanneld: string;
  readonly etcd: string;
  readonly keepalived: string;
  readonly parts: readonly Part[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly patience: number;
  readonly joiners: number;
  readonly seconds: number;
}

function parse(): Options {
  const { values } = parseArgs({
    options: {
      flanneld: { type: "string" },
      etcd: { type: "string" },
      keepalived: { type: "string", default: "/usr/sbin/keepalived" },
      only: { type: "string", multiple: true },
      sizes: { type: "string", default: "0,1000,5000" },
      rounds: { type: "string", default: "5" },
      patience: { type: "string", default: "60" },
      joiners: { type: "string", default: "20" },
      seconds: { type: "string", default: "3" },
    },
  });
  const sizes = values.sizes.split(",").map(Number);
  const [rounds, patience] = [Number(values.rounds), Number(values.patience) * 1000];
  const [joiners, seconds] = [Number(values.joiners), Number(values.seconds)];
  const { flanneld = "", etcd = "", keepalived, only = PARTS } = values;
  const isRight = sizes.every((size) => Number.isInteger(size) && size >= 0) && rounds > 0 &&
    patience > 0 && joiners > 0 && joiners <= 240 && seconds > 0 &&
    only.every((part) => (PARTS as readonly string[]).includes(part));
  const parts = PARTS.filter((part) => only.includes(part));
  const overlays = parts.some((part) => part !== "fail-over");
  if (overlays && (flanneld === "" || etcd === "") || !isRight) {
    printError(USAGE);
    Deno.exit(2);
  }
  const real = (path: string) => path === "" ? "" : Deno.realPathSync(path);
  return {
    flanneld: real(flanneld),
    etcd: real(etcd),
    keepalived,
    parts,
    sizes,
    rounds,
    patience,
    joiners,
    seconds,
  };
}

const options = parse();
const say = (text: string) => printError(`bench: ${text}`);
await setUp("bench");
if (Deno.uid() !== 0) {
  printError("Cannot measure: making network namespaces needs root");
  Deno.exit(3);
}
Deno.env.set("KNET_BIN", BINARY);
const document: Record<string, unknown> = {
  environment: {
    date: new Date().toISOString(),
    kernel: Deno.osRelease(),
    processors: navigator.hardwareConcurrency,
    load: Deno.loadavg(),
  },
};

/** Runs with a lab of some hosts, the first of which is the desk. */
async function onStage(
  hosts: number,
  run: (contenders: readonly Contender[], hosts: readonly Host[]) => Promise<void>,
): Promise<void> {
  // No contender's store waits for a disk.
  Deno.env.set("TMPDIR", "/dev/shm");
  await using lab = await Lab.create({ hosts: 0, store: "postgres" });
  Deno.env.delete("TMPDIR");
  await using etcd = await Etcd.start(lab, options.etcd);
  const [desk, ...others] = await addHosts(lab, hosts + 1) as [Host, ...Host[]];
  const field = { lab, desk };
  const contenders = [
    knetOver("SQLite", field),
    knetOver("Postgres", field),
    flannelOver(etcd, options.flanneld, field),
  ];
  try {
    await run(contenders, others);
  } catch (error) {
    printError(lab.logs());
    throw error;
  }
}

/** Each contender with a host of its own. */
function entrantsOf(contenders: readonly Contender[], hosts: readonly Host[]): Entrant[] {
  return contenders.map((contender, n) => ({ contender, host: hosts[n]! }));
}

/** Maps in maps, for JSON. */
function plain(value: unknown): unknown {
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]));
}

const RUNS: Record<Part, () => Promise<void>> = {
  start: () =>
    onStage(3, async (contenders, hosts) => {
      for (const size of options.sizes) {
        say(`start with ${size} leases`);
        const entrants = entrantsOf(contenders, hosts);
        const figures = await measureStart(entrants, size, options.rounds, 2 * options.rounds + 1);
        document[`start ${size}`] = plain(figures);
        console.log(`\n${startTable(size, figures)}`);
      }
    }),
  healing: () =>
    onStage(3, async (contenders, hosts) => {
      say("healing");
      const entrants = entrantsOf(contenders, hosts);
      const figures = await measureHealing(entrants, options.rounds, options.patience);
      document["healing"] = plain(figures);
      console.log(`\n${healingTable(figures, options.patience)}`);
    }),
  throughput: () =>
    onStage(4, async ([knet, , flannel], [a, b, c, d]) => {
      say("throughput");
      const pairs: Pair[] = [
        { contender: { ...knet!, name: "knet" }, hosts: [a!, b!] },
        { contender: { ...flannel!, name: "flannel" }, hosts: [c!, d!] },
      ];
      const { rounds, seconds } = options;
      const figures = await measureThroughput(pairs, BACKENDS, rounds, seconds);
      document["throughput"] = plain(figures);
      console.log(`\n${throughputTable(figures)}`);
    }),
  joiners: () =>
    onStage(options.joiners, async (contenders, hosts) => {
      say(`${options.joiners} joiners`);
      const figures = await measureJoiners(contenders, hosts, Math.min(options.rounds, 3));
      document["joiners"] = plain(figures);
      console.log(`\n${joinersTable(options.joiners, figures)}`);
    }),
  "fail-over": async () => {
    say("fail-over");
    const figures = await measureFailOver(options.keepalived, 2 * options.rounds);
    document["fail-over"] = figures;
    const text = typeof figures === "string" ? `No fail-over: ${figures}` : failOverTable(figures);
    console.log(`\n${text}`);
  },
};
for (const part of options.parts) await RUNS[part]();
console.log(`\nMedians of ${options.rounds} rounds in turn; ratios are knet's to the rival's.`);
Deno.mkdirSync(OUT, { recursive: true });
Deno.writeTextFileSync(`${OUT}rivals.json`, JSON.stringify(document, null, 1) + "\n");
