/**
 * `deno task demo`: three hosts on this machine, the real agent in each, two containers each; shows the
 * way a packet takes, pings from everywhere to everywhere, and takes everything down.
 *
 * @module
 */
import { setUp } from "./setup.ts";
import type { Container } from "./support/container.ts";
import { Lab } from "./support/lab.ts";
import { whyNoLab } from "./support/skip.ts";
import { converged } from "./support/walk.ts";

const HOSTS = 3;
const CONTAINERS = 2;
/** The store that the hosts hold themselves, in the lab's data directories. */
const OWN_STORE = "dqlite:/run/host/data/dqlite";

const start = performance.now();

function say(text = ""): void {
  console.log(text);
}

function step(text: string): void {
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
  say(`\n[${seconds} s] ${text}`);
}

async function pingAll(containers: readonly Container[]): Promise<number> {
  const width = Math.max(...containers.map((c) => c.label.length + c.address.length + 3));
  let failures = 0;
  say(`  ${"".padEnd(width)} ${containers.map((c) => c.label.padStart(6)).join(" ")}`);
  for (const from of containers) {
    const answers = await Promise.all(
      containers.map((to) => to === from ? undefined : from.ping(to.address)),
    );
    failures += answers.filter((answer) => answer === false).length;
    const cells = answers.map((a) => (a === undefined ? "-" : a ? "ok" : "LOST").padStart(6));
    say(`  ${`${from.label} (${from.address})`.padEnd(width)} ${cells.join(" ")}`);
  }
  return failures;
}

async function demo(lab: Lab): Promise<number> {
  step(`${HOSTS} hosts on an underlay bridge, with nothing but knet`);
  for (let n = 1; n <= HOSTS; n++) await lab.addHost({ storeUrl: "" });
  for (const host of lab.hosts) say(`  ${host.name}  ${host.address}`);

  step(
    "knet join --store dqlite: on the first host, knet token there, knet join TOKEN on the others",
  );
  const [first, ...others] = lab.hosts;
  await first!.join({ env: { KNET_STORE: OWN_STORE }, args: ["--network", "172.26.0.0/16"] });
  const token = (await first!.knet("token")).stdout.trim().split(" ").at(-1)!;
  say(`  ${first!.name}# knet token\n  knet up ${token}`);
  await Promise.all(others.map((host) => host.join({ args: [token] })));
  await converged(lab.hosts);
  for (const host of lab.hosts) say(`  ${host.name}  ${await host.subnet()}`);

  step(`knet attach: ${CONTAINERS} containers on each host`);
  for (const host of lab.hosts) {
    for (let n = 1; n <= CONTAINERS; n++) {
      const container = await host.attach(`c${n}`);
      say(`  ${container.label}  ${container.address}`);
    }
  }

  step("The way of a packet");
  const containers = lab.hosts.flatMap((host) => host.containers);
  const [from, to] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  say(`  ${lab.host(1).name}# knet trace ${from.name} ${to.address}\n`);
  const { stdout } = await lab.host(1).knet(["trace", from.name, to.address]);
  for (const row of stdout.trimEnd().split("\n")) say(`  ${row}`.trimEnd());

  step("Every container pings every other");
  const failures = await pingAll(containers);

  step("knet status on h1");
  say((await lab.host(1).knet("status")).stdout.trimEnd());

  step("knet leave on each host, and the hosts are taken down");
  for (const host of lab.hosts) await host.leave();
  return failures;
}

async function main(): Promise<number> {
  await setUp("demo");
  const reason = whyNoLab();
  if (reason !== undefined) {
    console.error(`Cannot run the demo: it builds network namespaces, and that ${reason}`);
    return 3;
  }
  const lab = await Lab.create({ hosts: 0, store: "dqlite" });
  const interrupted = () => lab[Symbol.asyncDispose]().finally(() => Deno.exit(130));
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  let failures: number;
  try {
    failures = await demo(lab);
  } catch (error) {
    console.error(lab.logs());
    throw error;
  } finally {
    await lab[Symbol.asyncDispose]();
  }
  const pings = HOSTS * CONTAINERS * (HOSTS * CONTAINERS - 1);
  step(failures === 0 ? `Done: all ${pings} pings were answered` : `${failures} pings were lost`);
  return failures === 0 ? 0 : 1;
}

Deno.exit(await main());
