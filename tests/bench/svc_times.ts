/**
 * How long an administrator waits: a service added and removed on three hosts, and put right after somebody broke it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readSmallFile } from "../../ffi/file.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { median, sleep, until } from "../support/wait.ts";

/** Milliseconds. */
export interface Spread {
  readonly median: number;
  readonly most: number;
}

/** What was waited for, in words, and how long. */
export type TimesFigures = readonly (readonly [what: string, took: Spread])[];

const HOSTS = 3;
const ROUNDS = 5;
const VIP = "10.96.0.10";
const REAL = "10.244.9.2:8080";
const INJURIES = [
  "ipvsadm -C",
  `ipvsadm -D -t ${VIP}:80`,
  `ipvsadm -d -t ${VIP}:80 -r ${REAL}`,
  `ipvsadm -e -t ${VIP}:80 -r ${REAL} -m -w 7`,
  "ip link delete knet-ipvs0",
  `ip addr delete ${VIP}/32 dev knet-ipvs0`,
];

/** Measures, with agents of the compiled binary. */
export async function measureServiceTimes(
  binary: string,
  say: (text: string) => void,
): Promise<TimesFigures> {
  Deno.env.set("KNET_BIN", binary);
  await using lab = await Lab.create({ hosts: HOSTS });
  try {
    await lab.host(1).knet("init --network 10.244.0.0/16");
    await Promise.all(lab.hosts.map((host) => host.join()));
    const add = `svc add web --vip ${VIP} --port 80 --to ${REAL} --to 10.244.9.3:8080`;
    const added: number[] = [];
    const removed: number[] = [];
    say("times: adding and removing");
    // The first loads the module.
    for (let round = 0; round <= ROUNDS; round++) {
      await lab.host(1).knet(add);
      added.push(await everywhere(lab.hosts, isThere));
      await lab.host(2).knet("svc rm web");
      removed.push(await everywhere(lab.hosts, (text) => text === ""));
    }
    await lab.host(1).knet(add);
    await everywhere(lab.hosts, isThere);
    const healed: [string, Spread][] = [];
    for (const injury of INJURIES) {
      say(`times: ${injury}`);
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round++) times.push(await heal(lab.host(3), injury));
      healed.push([`healed after "${injury}"`, spread(times)]);
    }
    return [
      [`svc add, until the last of ${HOSTS} kernels has it`, spread(added.slice(1))],
      [`svc rm, until the last of ${HOSTS} kernels has nothing of it`, spread(removed.slice(1))],
      ...healed,
    ];
  } catch (error) {
    console.log(lab.logs());
    throw error;
  }
}

const spread = (times: readonly number[]): Spread => ({
  median: median(times),
  most: Math.max(...times),
});

/** Virtual server, both real servers, virtual IP. */
const isThere = (text: string) => text.split("\n").length >= 4;

/** What the kernel shows, read without a program: starting one takes longer than much of what is measured. */
function kernel(host: Host): string {
  const { pid } = host.agent!;
  const lines = ["ip_vs", "fib_trie"].flatMap((name) =>
    (readSmallFile(`/proc/${pid}/net/${name}`) ?? "").split("\n")
  );
  const ours = lines.filter((line) => /0A60000A:0050|0AF4090[23]|10\.96\.0\.10$/.test(line));
  // Without the connections.
  return ours.map((line) => line.replace(/ +\d+ +\d+ *$/, "")).sort().join("\n");
}

/** Milliseconds from the end of a command until all hosts are as they should be. */
async function everywhere(
  hosts: readonly Host[],
  isSo: (text: string) => boolean,
): Promise<number> {
  const { ms } = await until("the kernels have it", () => {
    for (const host of hosts) assert.ok(isSo(kernel(host)));
    return true;
  }, { interval: 2 });
  return ms;
}

async function heal(host: Host, injury: string): Promise<number> {
  const before = kernel(host);
  // Looks come every second: at any time between two.
  await sleep(1000 + Math.random() * 1000);
  await host.sh(injury);
  const { ms } = await until(`"${injury}" is healed`, () => {
    assert.equal(kernel(host), before);
    return true;
  }, { interval: 2 });
  return ms;
}
