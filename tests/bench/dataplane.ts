/**
 * How fast containers on two hosts talk, and what that costs, for each backend and for the same devices made by
 * hand: `deno task bench:dataplane [--rounds N] [--seconds N] [--only NAME]… [--picture FILE]`.
 *
 * Hosts are network namespaces, so both ends, both hosts and the network share this machine's processors:
 * throughput is what they all can do together, and only ratios within one run mean something. The rounds go
 * over all ways in turn, so that whatever else the machine does meets all of them.
 *
 * @module
 */
import { setUp } from "../setup.ts";
import type { Container } from "../support/container.ts";
import { flows } from "../support/cluster.ts";
import type { Lab } from "../support/lab.ts";
import { median, until } from "../support/wait.ts";
import {
  buildLab,
  cleanUp,
  HOST_GW,
  HOST_GW_BY_HAND,
  NONE,
  SINGLY,
  UDP,
  VXLAN,
  VXLAN_BY_HAND,
  type Way,
  WAYS,
} from "./dataplane_cases.ts";
import { throughput } from "./iperf.ts";
import { picture } from "./picture.ts";

const ECHO_PORT = 5003;
const ASKS = 2000;

interface Sample {
  readonly gbits: number;
  /** Processor seconds of the whole machine per gigabyte. */
  readonly cpu: number;
  readonly retransmits: number;
  /** Microseconds from a request of one byte to its answer. */
  readonly latency: number;
  readonly latency99: number;
}

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly only: readonly string[];
  readonly picture: string;
}

function parse(args: readonly string[]): Options {
  const options = {
    rounds: 4,
    seconds: 2,
    only: [] as string[],
    picture: new URL("../../docs/dataplane.svg", import.meta.url).pathname,
  };
  for (let i = 0; i < args.length; i += 2) {
    const value = args[i + 1] ?? "";
    if (args[i] === "--rounds") options.rounds = Number(value);
    else if (args[i] === "--seconds") options.seconds = Number(value);
    else if (args[i] === "--only") options.only.push(value);
    else if (args[i] === "--picture") options.picture = value;
    else {
      console.error(`There is no option "${args[i]}"`);
      Deno.exit(2);
    }
  }
  return options;
}

async function latency(near: Container, far: Container) {
  const program = new URL("./echo.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-q", "-A", "--no-check", program];
  const server = far.spawn([...deno, "serve", `${ECHO_PORT}`]);
  await using _end = server;
  await until("the echo listens", () => server.stdout.includes("ready"));
  const line = [...deno, "ask", far.address, `${ECHO_PORT}`, `${ASKS}`];
  const { stdout } = await near.run(line);
  // The first ones find cold caches.
  const times = stdout.trim().split("\n").map(Number).slice(ASKS / 10).sort((a, b) => a - b);
  return {
    latency: times[Math.floor(times.length / 2)]!,
    latency99: times[Math.floor(times.length * 0.99)]!,
  };
}

async function measure(lab: Lab, seconds: number): Promise<Sample> {
  const [near, far] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  return { ...await latency(near, far), ...await throughput(near, far, seconds) };
}

/** The median of each figure. */
function middle(samples: readonly Sample[]): Sample {
  const of = (key: keyof Sample) => median(samples.map((sample) => sample[key]));
  return {
    gbits: of("gbits"),
    cpu: of("cpu"),
    retransmits: of("retransmits"),
    latency: of("latency"),
    latency99: of("latency99"),
  };
}

function table(results: ReadonlyMap<string, Sample>): string {
  const base = results.get(NONE)?.gbits ?? NaN;
  const rows = [
    ["", "Gbit/s", "of no overlay", "CPU s/GB", "latency µs", "99 %", "retransmits"],
    ...[...results].map(([name, one]) => [
      name,
      one.gbits.toFixed(2),
      (one.gbits / base).toFixed(2),
      one.cpu.toFixed(2),
      one.latency.toFixed(0),
      one.latency99.toFixed(0),
      `${one.retransmits}`,
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    ).join("  ")
  ).join("\n");
}

/** The targets, each a ratio within the run. */
const TARGETS: readonly (readonly [over: string, under: string, least: number])[] = [
  [HOST_GW, NONE, 0.97],
  [HOST_GW, HOST_GW_BY_HAND, 0.97],
  [VXLAN, VXLAN_BY_HAND, 0.97],
  [UDP, VXLAN, 0.25],
  [UDP, SINGLY, 10],
];

/** Medians of the ratios within each round: what disturbs the machine meets both sides of a ratio then. */
function judge(samples: ReadonlyMap<string, readonly Sample[]>): string {
  return TARGETS.flatMap(([over, under, least]) => {
    const [a, b] = [samples.get(over), samples.get(under)];
    if (a === undefined || b === undefined) return [];
    const ratio = median(a.map(({ gbits }, round) => gbits / b[round]!.gbits));
    const verdict = ratio >= least ? "met" : "missed";
    return [`${over} / ${under}: ${ratio.toFixed(2)} (target ${least}: ${verdict})`];
  }).join("\n");
}

const options = parse(Deno.args);
await setUp("bench");
const ways = WAYS.filter((way) => options.only.length === 0 || options.only.includes(way.name));
await using stack = new AsyncDisposableStack();
stack.defer(cleanUp);
const labs = new Map<Way, Lab>();
for (const way of ways) {
  const lab = stack.use(await buildLab(way));
  const [near, far] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  await flows(near, far.address);
  labs.set(way, lab);
}
const samples = new Map<string, Sample[]>(ways.map((way) => [way.name, []]));
for (let round = 0; round < options.rounds; round++) {
  for (const [way, lab] of labs) {
    samples.get(way.name)!.push(await measure(lab, options.seconds));
  }
}
const results = new Map([...samples].map(([name, list]) => [name, middle(list)]));
console.log(
  `Container to container over two hosts, one TCP connection, ${navigator.hardwareConcurrency} ` +
    `processors for everything; median of ${options.rounds} rounds of ${options.seconds} s\n`,
);
console.log(table(results));
console.log(`\n${judge(samples)}`);
console.log(
  `\n"${NONE}" has no bridge either: what that costs is seen in "${HOST_GW_BY_HAND}".`,
);
Deno.mkdirSync(options.picture.slice(0, options.picture.lastIndexOf("/")), { recursive: true });
Deno.writeTextFileSync(
  options.picture,
  picture(
    "TCP, container to container over two hosts, Gbit/s",
    [...results].map(([name, { gbits }]) => ({ name, value: gbits })),
  ),
);
console.log(`\nPicture: ${options.picture}`);
