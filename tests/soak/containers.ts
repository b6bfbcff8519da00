/**
 * A thousand containers at once, on one host, by all ways in: `deno task soak:containers [--count N] [--at-once N] [--seed N]`, 1,000
 * and 60 without.
 *
 * A quarter each by `knet attach`, by the CNI plugin and netavark's as `knet install` places them, and by Docker's address driver. One plugin in five is killed
 * on its way, and the agent again and again; each runtime asks again as the real ones do. Then no address may be given twice, each
 * container has what the book says, and when all are gone nothing is left.
 *
 * @module
 */
import assert from "node:assert/strict";
import { askOver } from "../../core/container/ask.ts";
import { setUp } from "../setup.ts";
import { startCluster } from "../support/cluster.ts";
import { exec } from "../support/exec.ts";
import { type Host, knetProgram } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { median, sleep, until } from "../support/wait.ts";

function option(name: string, otherwise: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(Deno.args[at + 1]);
  if (!Number.isInteger(value) || value < 1) {
    console.error("usage: deno task soak:containers [--count N] [--at-once N] [--seed N]");
    Deno.exit(2);
  }
  return value;
}

const count = option("count", 1000);
const atOnce = option("at-once", 60);
let state = option("seed", 1);
/** Below `n`; the same numbers for the same seed. */
const dice = (n: number) => (state = (state * 48271) % 0x7fffffff) % n;

const DATA = "/run/host/data";
const KILLED = 137;

await setUp("test");
await using lab = await Lab.create({ hosts: 1, store: "sqlite" });
await startCluster(lab, { init: "--subnet-len 20" });
const host = lab.host(1);
const subnet = await host.subnet();

interface Outcome {
  readonly code: number;
  readonly stdout: string;
}

/** A way in: how a container comes, and how it goes. Status 0 is success. */
interface Way {
  readonly name: string;
  add(id: string, wrapper: readonly string[]): Promise<Outcome>;
  remove(id: string): Promise<Outcome>;
}

const run = (
  line: readonly string[],
  more: { env?: Record<string, string>; stdin?: string } = {},
) => exec([...host.enter, ...line], { check: false, timeout: 120_000, ...more });

// As a runtime has them: the agent's own, with its folders in them.
await host.sh("mkdir -p /run/soak");
await host.knet("install cni --bin-dir /run/soak/cni --conf-dir /run/soak/net.d");
await host.knet("install podman --plugin-dir /run/soak/podman --network-dir /run/soak/networks");

function cni(command: string, id: string, wrapper: readonly string[] = []): Promise<Outcome> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: "eth0",
  };
  const stdin = JSON.stringify({ cniVersion: "1.0.0", name: "knet", dataDir: DATA });
  return run([...wrapper, "/run/soak/cni/knet-cni"], { env, stdin });
}

function netavark(command: string, id: string, wrapper: readonly string[] = []): Promise<Outcome> {
  const words = ["/run/soak/podman/knet", command, `/run/netns/${id}`];
  const stdin = JSON.stringify({
    container_id: id,
    container_name: id,
    port_mappings: null,
    network: { name: "knet" },
    network_options: { interface_name: "eth0" },
  });
  return run([...wrapper, ...words], { stdin });
}

/** Addresses that Docker was given, by container. */
const ofDocker = new Map<string, string>();
/** Answers that Docker never saw: it would find them out by the agent's comparing with its list. */
let lost = 0;

async function docker(call: string, request: object): Promise<Outcome> {
  const socket = host.path("/run/knet/docker.sock");
  try {
    const path = `/IpamDriver.${call}Address`;
    const body = JSON.stringify({ PoolID: `knet/${subnet}`, ...request });
    const answer = await askOver(socket, "POST", path, body);
    if (answer === undefined) return { code: 1, stdout: "" };
    return { code: JSON.parse(answer.body).Error === undefined ? 0 : 1, stdout: answer.body };
  } catch {
    lost++;
    return { code: 1, stdout: "" };
  }
}

const WAYS: readonly Way[] = [
  {
    name: "attach",
    add: (id, wrapper) => run([...wrapper, ...knetProgram(), "attach", id, "--data-dir", DATA]),
    // Status 2: it was not attached.
    remove: async (id) => {
      const { code, stdout } = await run([...knetProgram(), "detach", id, "--data-dir", DATA]);
      return { code: code === 2 ? 0 : code, stdout };
    },
  },
  {
    name: "cni",
    // Asked again after a failure, a runtime has the remains taken away first.
    add: async (id, wrapper) => {
      const first = await cni("ADD", id, wrapper);
      if (first.code !== 0) await cni("DEL", id);
      return first;
    },
    remove: (id) => cni("DEL", id),
  },
  {
    name: "netavark",
    add: async (id, wrapper) => {
      const first = await netavark("setup", id, wrapper);
      if (first.code !== 0) await netavark("teardown", id);
      return first;
    },
    remove: (id) => netavark("teardown", id),
  },
  {
    name: "docker",
    add: async (id) => {
      const answer = await docker("Request", { Address: "", Options: {} });
      if (answer.code === 0) ofDocker.set(id, JSON.parse(answer.stdout).Address.split("/")[0]);
      return answer;
    },
    remove: async (id) => {
      const answer = await docker("Release", { Address: ofDocker.get(id) });
      if (answer.code === 0) ofDocker.delete(id);
      return answer;
    },
  },
];

/** Does something for all, so many at a time. */
async function forAll<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

function bookOf(host: Host): { netns: string; address: string; containerId?: string }[] {
  return JSON.parse(Deno.readTextFileSync(host.path(`${DATA}/containers.json`))).containers;
}

function heldOf(host: Host): string[] {
  try {
    const text = Deno.readTextFileSync(host.path(`${DATA}/held.json`));
    return JSON.parse(text).held.map(({ address }: { address: string }) => address);
  } catch {
    return [];
  }
}

const wires = async () =>
  (await host.run("ip -br link show type veth")).stdout.split("\n")
    .filter((line) => line.startsWith("kv")).length;

const jobs = Array.from({ length: count }, (_, n) => ({
  id: `soak${n}`,
  way: WAYS[n % WAYS.length]!,
  // Of those that are killed: after how many thousandths of a second. What starts a program takes longer.
  killedAfter: dice(5) === 0 ? 1 + dice(n % WAYS.length === 0 ? 400 : 100) : undefined,
}));
await host.sh(jobs.map(({ id }) => `ip netns add ${id}`).join("\n"), { timeout: 300_000 });

const isReady = async () => {
  assert.equal(host.agent?.ended, undefined, host.agent?.stderr);
  return (await host.get("/readyz")).status === 200;
};
let tries = 0, kills = 0, deaths = 0;
const took: number[] = [];
let working = true;
const murder = (async () => {
  while (working) {
    await sleep(4000 + dice(6000));
    if (!working) break;
    deaths++;
    await host.stop("SIGKILL");
    await host.join({ wait: false });
    // With so many beside it, it takes its time; it has to have lived before it dies again.
    await until("the agent is ready again", isReady, { deadline: 120_000 });
  }
})();
const begin = performance.now();
await forAll(jobs, async ({ id, way, killedAfter }) => {
  const start = performance.now();
  for (let attempt = 1;; attempt++) {
    tries++;
    const wrapper = killedAfter !== undefined && attempt === 1
      ? ["timeout", "-s", "KILL", `${killedAfter / 1000}`]
      : [];
    const { code, stdout } = await way.add(id, wrapper);
    if (code === 0) break;
    if (code === KILLED) kills++;
    const lasts = performance.now() - start;
    assert.ok(lasts < 300_000, `${id} by ${way.name} never came, ${attempt} tries: ${stdout}`);
    await sleep(200 + dice(300));
  }
  took.push(performance.now() - start);
});
const seconds = (performance.now() - begin) / 1000;
working = false;
await murder;

await until("the agent has done what it was asked", async () => {
  return (await wires()) === bookOf(host).length;
}, { deadline: 120_000 });
const book = bookOf(host);
const all = [...book.map(({ address }) => address), ...heldOf(host)];
assert.equal(new Set(all).size, all.length, "an address was given twice");
assert.equal(book.length, jobs.filter(({ way }) => way.name !== "docker").length);
assert.ok(heldOf(host).length <= ofDocker.size + lost, "Docker holds what nobody asked for");
for (const address of ofDocker.values()) assert.ok(heldOf(host).includes(address), address);
const names = book.map(({ netns }) => netns.replace("/run/netns/", ""));
const script = names.map((name) => `ip -n ${name} -4 -br addr show eth0`).join("\n");
const inside = (await host.sh(script, { timeout: 300_000 })).stdout.trim().split("\n");
for (const [n, { address }] of book.entries()) {
  assert.ok(inside[n]!.includes(` ${address}/`), `${names[n]}: ${inside[n]} and not ${address}`);
}

await forAll(jobs, async ({ id, way }) => {
  assert.equal((await way.remove(id)).code, 0, `${id} by ${way.name} does not go`);
});
assert.deepEqual(bookOf(host), []);
assert.equal(await wires(), 0);
assert.ok(heldOf(host).length <= lost);
console.log(
  `ok: ${count} containers in ${seconds.toFixed(0)} s, ${atOnce} at once, ${
    Math.round(median(took))
  } ms each (median); ${tries} tries, ${kills} plugins and ${deaths} agents killed, ${lost} answers lost to Docker; no address twice, none left`,
);
