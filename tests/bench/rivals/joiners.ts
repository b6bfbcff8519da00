/**
 * Hosts that join a cluster at one moment, each with a whole agent: how long until the last one has its network, and who gave up.
 *
 * @module
 */
import type { Host } from "../../support/host.ts";
import type { Lab } from "../../support/lab.ts";
import { sleep } from "../../support/wait.ts";
import { exists } from "../agent.ts";
import type { Contender } from "./contender.ts";

/** Rounds of one contender. */
export interface JoinerFigures {
  /** Milliseconds from the first exec until the last agent that got one had its network. */
  readonly last: number[];
  /** Agents that ended without a network, or have none after five minutes. */
  readonly gaveUp: number[];
  /** Subnets in use; fewer than hosts that have one if one was given twice. */
  readonly subnets: number[];
}

const TIMEOUT = 300_000;
/** Last byte of addresses on the lab's underlay that are somebody's: the router's, both of Postgres, etcd's. */
const TAKEN = new Set([1, 200, 201, 210]);

/** Adds hosts to a lab, up to 240. */
export async function addHosts(lab: Lab, count: number): Promise<Host[]> {
  for (let byte = 2; lab.hosts.length < count && byte < 255; byte++) {
    if (!TAKEN.has(byte)) await lab.addHost({ address: `192.168.2.${byte}` });
  }
  return lab.hosts;
}

/** Measures all contenders on the same hosts, in turn. */
export async function measureJoiners(
  contenders: readonly Contender[],
  hosts: readonly Host[],
  rounds: number,
): Promise<Map<string, JoinerFigures>> {
  const figures = new Map<string, JoinerFigures>(
    contenders.map(({ name }) => [name, { last: [], gaveUp: [], subnets: [] }]),
  );
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 ? contenders : contenders.toReversed()) {
      await join(contender, hosts, `join${round}`, figures.get(contender.name)!);
    }
  }
  return figures;
}

async function join(
  contender: Contender,
  hosts: readonly Host[],
  label: string,
  into: JoinerFigures,
): Promise<void> {
  const cluster = await contender.cluster(label);
  const begin = performance.now();
  const joiners = await Promise.all(
    hosts.map(async (host) => ({
      agent: await cluster.start(host),
      file: host.path(contender.envFile),
    })),
  );
  let last = begin;
  const open = new Set(joiners);
  while (open.size > 0) {
    for (const joiner of open) {
      if (exists(joiner.file)) last = performance.now();
      else if (joiner.agent.ended === undefined) continue;
      open.delete(joiner);
    }
    if (performance.now() - begin > TIMEOUT) {
      throw new Error(`${open.size} joiners have no network`);
    }
    await sleep(10);
  }
  const served = joiners.filter(({ file }) => exists(file));
  const subnets = new Set(served.map(({ file }) => subnetOf(Deno.readTextFileSync(file))));
  into.last.push(last - begin);
  into.gaveUp.push(joiners.length - served.length);
  into.subnets.push(subnets.size);
  await Promise.all(joiners.map(({ agent }) => agent.stop("SIGKILL")));
  for (const host of hosts) await contender.clean(host);
}

/** The host's subnet in the file for runtimes, which both write. */
function subnetOf(text: string): string {
  return /^FLANNEL_SUBNET=(.*)$/m.exec(text)?.[1] ?? "";
}
