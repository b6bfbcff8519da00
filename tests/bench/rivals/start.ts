/**
 * An agent's start, what it takes then, and one lease's way from the store to the kernel.
 *
 * @module
 */
import type { Host } from "../../support/host.ts";
import { sleep, until } from "../../support/wait.ts";
import { exists, processorMs, residentMiB } from "../agent.ts";
import { peerLease, peerLeases } from "../peers.ts";
import type { Cluster, Contender } from "./contender.ts";
import { RouteWatch } from "./kernel_view.ts";
import { instant } from "./writer.ts";

/** What each round came to. Milliseconds and MiB. */
export interface StartFigures {
  /** From exec to the file that tells the host's subnet. */
  readonly network: number[];
  /** From exec to the last peer's route, which is made after all else of the peer; empty without peers. */
  readonly lastPeer: number[];
  readonly resident: number[];
  /** Proportional set size: pages that other processes map, too, are counted in part. */
  readonly proportional: number[];
  /** Processor time until some seconds after. */
  readonly processor: number[];
  /** From the write of one more lease to its route. */
  readonly way: number[];
}

/** A contender with a host of its own. */
export interface Entrant {
  readonly contender: Contender;
  readonly host: Host;
}

const SETTLED = 3000;
/** Longer than any agent's own pauses: each lease is an event of its own. */
const BETWEEN = 700;
/** Far from what agents take for themselves. */
const FIRST_ADDED = 30_000;

/** Measures all of them in turn with so many leases in the store. */
export async function measureStart(
  entrants: readonly Entrant[],
  size: number,
  rounds: number,
  ways: number,
): Promise<Map<string, StartFigures>> {
  const figures = new Map<string, StartFigures>();
  const clusters = new Map<Contender, Cluster>();
  for (const { contender } of entrants) {
    const cluster = await contender.cluster(`n${size}`);
    if (size > 0) await cluster.writer.write(peerLeases(size));
    clusters.set(contender, cluster);
    figures.set(contender.name, {
      ...{ network: [], lastPeer: [], resident: [], proportional: [], processor: [], way: [] },
    });
  }
  for (let round = 0; round <= rounds; round++) {
    for (const entrant of round % 2 ? entrants : entrants.toReversed()) {
      const { contender } = entrant;
      // The first brings programs and stores into the page cache.
      const into = round === 0 ? undefined : figures.get(contender.name)!;
      await start(entrant, clusters.get(contender)!, size, into);
    }
  }
  await measureWays(entrants, clusters, size, ways, figures);
  return figures;
}

async function start(
  { contender, host }: Entrant,
  cluster: Cluster,
  peers: number,
  into: StartFigures | undefined,
): Promise<void> {
  using routes = new RouteWatch(host);
  const file = host.path(contender.envFile);
  const begin = instant();
  const agent = await cluster.start(host);
  const [{ ms: network }, lastPeer] = await Promise.all([
    until("the network is there", () => exists(file), { interval: 1, deadline: 120_000 }),
    routes.made(peers, agent),
  ]);
  await sleep(SETTLED);
  into?.network.push(network);
  if (peers > 0) into?.lastPeer.push(lastPeer - begin);
  into?.resident.push(residentMiB(agent.pid));
  into?.proportional.push(proportionalMiB(agent.pid));
  into?.processor.push(processorMs(agent.pid));
  await agent.stop();
  await contender.clean(host);
  // The kernel frees a namespace's entries later.
  await sleep(500 + peers / 20);
}

/** All agents run, each on its own host, and get a lease in turn. */
async function measureWays(
  entrants: readonly Entrant[],
  clusters: ReadonlyMap<Contender, Cluster>,
  peers: number,
  ways: number,
  figures: ReadonlyMap<string, StartFigures>,
): Promise<void> {
  if (ways === 0) return;
  const running = [];
  for (const { contender, host } of entrants) {
    using routes = new RouteWatch(host);
    const cluster = clusters.get(contender)!;
    const agent = await cluster.start(host);
    await routes.made(peers, agent);
    running.push({ contender, host, cluster, agent });
  }
  await sleep(SETTLED);
  for (let way = 0; way <= ways; way++) {
    const lease = peerLease(FIRST_ADDED + way);
    for (const { contender, host, cluster } of way % 2 ? running : running.toReversed()) {
      using routes = new RouteWatch(host);
      await sleep(BETWEEN);
      const { written } = cluster.writer.send([lease]);
      const arrived = await routes.madeTo(lease.subnet);
      const { begin } = await written;
      if (way > 0) figures.get(contender.name)!.way.push(arrived - begin);
    }
  }
  for (const { contender, host, agent } of running) {
    await agent.stop();
    await contender.clean(host);
  }
}

function proportionalMiB(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}
