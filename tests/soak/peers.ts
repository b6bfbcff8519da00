/**
 * Thousands of peers that come and go for long: `deno task soak:peers [--peers N] [--minutes M] [--rate R] [--drivers D]`, 5,000, 30,
 * 10 a second and 3 without. Changes are due by the clock, not one after the other: whichever driver is free does the next.
 *
 * From each commit to the kernel's own notification of the route; what the agent holds; and at the end the kernel as the store says.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setUp } from "../setup.ts";
import { Driver } from "../support/driver.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { until } from "../support/wait.ts";

function option(name: string, otherwise: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(Deno.args[at + 1]);
  if (!(value > 0)) {
    console.error("usage: deno task soak:peers [--peers N] [--minutes M] [--rate R] [--drivers D]");
    Deno.exit(2);
  }
  return value;
}

const [peers, minutes, rate] = [option("peers", 5000), option("minutes", 30), option("rate", 10)];
const count = option("drivers", 3);
await setUp("test");
await using lab = await Lab.create({ hosts: 2, store: "postgres" });
const [watched, other] = lab.hosts as [Host, Host];
await watched.knet(
  "init --network 10.0.0.0/8 --subnet-len 24 --service-network 198.18.0.0/16 --lease-ttl 86400",
);
await using stack = new AsyncDisposableStack();
const drivers: Driver[] = [];
for (let n = 0; n < count; n++) drivers.push(stack.use(await Driver.start(other)));
const addressOf = (n: number) => `172.${16 + (n >> 14 & 15)}.${(n >> 7) & 127}.${1 + (n & 127)}`;
const begin = performance.now();
const subnets = new Map<number, string>();
const hostOf = (n: number) => ({
  ...{ node: `peer-${n}`, publicIp: addressOf(n) },
  subnet: `10.${n >> 8}.${n & 255}.0/24`,
});
/** A host's commit, without its search for a subnet: that reads thousands of leases, which its own processor does in life. */
const join = async (driver: Driver, n: number) => {
  const host = hostOf(n);
  const answer = await driver.tell({ do: "fill", hosts: [host] });
  subnets.set(n, host.subnet);
  return answer;
};
const hosts = Array.from({ length: peers }, (_, n) => hostOf(n));
await drivers[0]!.tell({ do: "fill", hosts });
for (const [n, { subnet }] of hosts.entries()) subnets.set(n, subnet);
console.log(`${peers} leases after ${((performance.now() - begin) / 1000).toFixed(0)} s`);
await watched.join();
const ownSubnet = await watched.subnet();
const routes = async () => {
  const { stdout } = await watched.run("ip route show proto 107");
  return new Set(stdout.trim().split("\n").map((line) => line.split(" ")[0]!));
};
await until("all peers are in the kernel", async () => (await routes()).size === peers, {
  deadline: 120_000,
});

/** When the kernel said so of a subnet, by what it said; milliseconds since the epoch. */
const said = new Map<string, number>();
const monitor = watched.spawn("stdbuf -oL ip -ts monitor route", { env: { TZ: "UTC" } });
function hear(): void {
  const end = monitor.stdout.lastIndexOf("\n") + 1;
  for (const line of monitor.stdout.slice(0, end).split("\n")) {
    const match = /^\[(\S+)\] (Deleted )?(\S+) /.exec(line);
    if (match !== null) said.set(`${match[2] ?? ""}${match[3]}`, Date.parse(`${match[1]}Z`));
  }
  monitor.stdout = monitor.stdout.slice(end);
}

const resident = async () => {
  const status = await Deno.readTextFile(`/proc/${watched.agent!.pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
};

/** What is waited for: what the kernel will say, and the moment of the commit. */
const awaited = new Map<string, number>();
const took: number[] = [];
function settle(): void {
  hear();
  for (const [what, at] of awaited) {
    const heard = said.get(what);
    if (heard === undefined || heard < at - 1000) continue;
    took.push(heard - at);
    awaited.delete(what);
  }
  said.clear();
}

const samples: number[] = [];
const start = performance.now();
let [oldest, next, changes, latest] = [0, peers, 0, 0];
const end = start + minutes * 60_000;

/** Does what is due by the clock, as long as there is time. */
async function drive(driver: Driver): Promise<void> {
  for (;;) {
    const change = changes++;
    const due = start + change * 1000 / rate;
    if (due >= end) return void changes--;
    const early = due - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    latest = Math.max(latest, performance.now() - due);
    if (change % 2 === 0) {
      if (hostOf(next).subnet === ownSubnet) next++;
      const { at, subnets } = await join(driver, next++);
      awaited.set(subnets![0]!, at);
    } else {
      if (!subnets.has(oldest)) oldest++;
      const n = oldest++;
      const subnet = subnets.get(n)!;
      const { at } = await driver.tell({ do: "release", node: `peer-${n}` });
      subnets.delete(n);
      awaited.set(`Deleted ${subnet}`, at);
    }
  }
}

let over = false;
async function watch(): Promise<void> {
  for (let second = 0; !over; second++) {
    assert.equal(watched.agent!.ended, undefined, watched.agent!.stderr);
    settle();
    if (second % Math.ceil(minutes * 2) === 0) {
      samples.push(await resident());
      const passed = (performance.now() - start) / 1000;
      console.log(
        `${passed.toFixed(0)} s: ${changes} changes, ${(changes / passed).toFixed(1)} a second, ${
          samples.at(-1)!.toFixed(1)
        } MiB`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

const watching = watch();
await Promise.all(drivers.map(drive));
over = true;
await watching;
const driven = (performance.now() - start) / 1000;
await until("the kernel has said all", () => {
  settle();
  return awaited.size === 0;
}, { deadline: 30_000 }).catch(() => console.log(`not heard: ${[...awaited.keys()].join(", ")}`));
const wanted = new Set(subnets.values());
await until("the kernel is as the store says", async () => {
  const found = await routes();
  assert.deepEqual([...found].filter((one) => !wanted.has(one)), []);
  return found.size === wanted.size;
}, { deadline: 30_000 });
took.sort((a, b) => a - b);
const at = (share: number) => took[Math.floor((took.length - 1) * share)]!.toFixed(1);
const middle = Math.max(...samples.slice(0, Math.ceil(samples.length / 2)));
console.log(
  `ok: ${changes} changes among ${peers} peers in ${driven.toFixed(0)} s, ${
    (changes / driven).toFixed(2)
  } a second, begun ${latest.toFixed(0)} ms late at most; from commit to the kernel's word ${
    at(0.5)
  } ms at the median, ${at(0.99)} at the 99th percentile, ${at(1)} at most; resident ${
    middle.toFixed(1)
  } MiB at most in the first half, ${samples.at(-1)!.toFixed(1)} at the end`,
);
