/**
 * knet beside what does the same: `deno task bench:rivals --flanneld PATH --etcd PATH [--only PART]… [--sizes N,N] [--rounds N]
 * [--patience SECONDS]`.
 *
 * - start: from exec to the last peer, memory, and a lease's way from the store to the kernel, with 0, 1,000 and 5,000 leases in it;
 *   knet over SQLite and over Postgres, flannel over etcd.
 * - healing: what somebody deletes of the kernel's, and how long it stays away.
 *
 * All contenders do each thing in turn, and ratios are medians of those within a round: what else the machine does meets all of them.
 * Everything happens in network namespaces; needs root. Prints tables and writes `tests/out/rivals.json`.
 *
 * The binaries: etcd and etcdctl are Debian's etcd-server and etcd-client (`apt-get download`, `dpkg -x`: nothing needs to be
 * installed). flanneld is built by `go build -mod=mod` in a copy of the module github.com/flannel-io/flannel; where some module of its
 * clouds cannot be had, remove that cloud's folder in `pkg/backend`, its import in `main.go` and its lines in `go.mod`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { printError } from "../../../cli/output.ts";
import { setUp } from "../../setup.ts";
import { Lab } from "../../support/lab.ts";
import { type Contender, flannelOver, knetOver } from "./contender.ts";
import { Etcd } from "./etcd.ts";
import { measureHealing } from "./healing.ts";
import { type Entrant, measureStart } from "./start.ts";
import { healingTable, startTable } from "./tables.ts";

const BINARY = new URL("../../../dist/knet", import.meta.url).pathname;
const OUT = new URL("../../out/", import.meta.url).pathname;
const PARTS = ["start", "healing"] as const;
type Part = (typeof PARTS)[number];

const USAGE = "usage: deno task bench:rivals --flanneld PATH --etcd PATH " +
  `[--only ${PARTS.join("|")}]… [--sizes N,N] [--rounds N] [--patience SECONDS]`;

interface Options {
  readonly flanneld: string;
  readonly etcd: string;
  readonly parts: readonly Part[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly patience: number;
}

function parse(): Options {
  const { values } = parseArgs({
    options: {
      flanneld: { type: "string" },
      etcd: { type: "string" },
      only: { type: "string", multiple: true },
      sizes: { type: "string", default: "0,1000,5000" },
      rounds: { type: "string", default: "5" },
      patience: { type: "string", default: "60" },
    },
  });
  const sizes = values.sizes.split(",").map(Number);
  const [rounds, patience] = [Number(values.rounds), Number(values.patience) * 1000];
  const { flanneld, etcd, only = PARTS } = values;
  const isRight = sizes.every((size) => Number.isInteger(size) && size >= 0) && rounds > 0 &&
    patience > 0 && only.every((part) => (PARTS as readonly string[]).includes(part));
  if (flanneld === undefined || etcd === undefined || !isRight) {
    printError(USAGE);
    Deno.exit(2);
  }
  const parts = PARTS.filter((part) => only.includes(part));
  const real = (path: string) => Deno.realPathSync(path);
  return { flanneld: real(flanneld), etcd: real(etcd), parts, sizes, rounds, patience };
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

/** Runs with a lab where each contender has a host of its own, and one more is the desk. */
async function onStage(run: (entrants: readonly Entrant[]) => Promise<void>): Promise<void> {
  await using lab = await Lab.create({ hosts: 4, store: "postgres" });
  await using etcd = await Etcd.start(lab, options.etcd);
  const field = { lab, desk: lab.host(4) };
  const contenders: Contender[] = [
    knetOver("SQLite", field),
    knetOver("Postgres", field),
    flannelOver(etcd, options.flanneld, field),
  ];
  try {
    await run(contenders.map((contender, n) => ({ contender, host: lab.host(n + 1) })));
  } catch (error) {
    printError(lab.logs());
    throw error;
  }
}

if (options.parts.includes("start")) {
  await onStage(async (entrants) => {
    for (const size of options.sizes) {
      say(`start with ${size} leases`);
      const figures = await measureStart(entrants, size, options.rounds, 2 * options.rounds + 1);
      document[`start ${size}`] = Object.fromEntries(figures);
      console.log(`\n${startTable(size, figures)}`);
    }
  });
}
if (options.parts.includes("healing")) {
  say("healing");
  await onStage(async (entrants) => {
    const figures = await measureHealing(entrants, options.rounds, options.patience);
    document["healing"] = Object.fromEntries(
      [...figures].map(([name, by]) => [name, Object.fromEntries(by)]),
    );
    console.log(`\n${healingTable(figures, options.patience)}`);
  });
}
console.log(`\nMedians of ${options.rounds} rounds in turn; a ratio below 1 is in knet's favour.`);
Deno.mkdirSync(OUT, { recursive: true });
Deno.writeTextFileSync(`${OUT}rivals.json`, JSON.stringify(document, null, 1) + "\n");
