/**
 * What somebody deletes of the kernel's, and how long it stays away.
 *
 * @module
 */
import type { Host } from "../../support/host.ts";
import { sleep } from "../../support/wait.ts";
import { peerLeases } from "../peers.ts";
import type { Backend } from "./contender.ts";
import { KernelView, RouteWatch } from "./kernel_view.ts";
import type { Entrant } from "./start.ts";

/** One thing that is deleted. */
interface Injury {
  readonly name: string;
  readonly backend: Backend;
  harm(view: KernelView, device: string): void;
  isWhole(view: KernelView, device: string): boolean;
}

/** Addresses of the underlay, so that host-gw has a way to them; nobody is there. */
const PEERS = peerLeases(3).map((lease, n) => ({ ...lease, publicIp: `192.168.2.${230 + n}` }));
const [ONE, TWO, THREE] = PEERS as [typeof PEERS[0], typeof PEERS[0], typeof PEERS[0]];
const gatewayOf = (lease: { subnet: string }) => lease.subnet.split("/")[0]!;

function isComplete(view: KernelView, device: string): boolean {
  return PEERS.every((peer) =>
    view.hasRoute(peer.subnet) && view.hasNeighbour(device, gatewayOf(peer)) &&
    view.hasFdb(device, peer.publicIp)
  );
}

const INJURIES: readonly Injury[] = [
  {
    name: "a route (vxlan)",
    backend: "vxlan",
    harm: (view) => view.deleteRoute(ONE.subnet),
    isWhole: (view) => view.hasRoute(ONE.subnet),
  },
  {
    name: "a neighbour",
    backend: "vxlan",
    harm: (view, device) => view.deleteNeighbour(device, gatewayOf(TWO)),
    isWhole: (view, device) => view.hasNeighbour(device, gatewayOf(TWO)),
  },
  {
    name: "a forwarding entry",
    backend: "vxlan",
    harm: (view, device) => view.deleteFdb(device, THREE.publicIp),
    isWhole: (view, device) => view.hasFdb(device, THREE.publicIp),
  },
  {
    name: "the VXLAN device",
    backend: "vxlan",
    harm: (view, device) => view.deleteDevice(device),
    isWhole: isComplete,
  },
  {
    name: "a route (host-gw)",
    backend: "host-gw",
    harm: (view) => view.deleteRoute(ONE.subnet),
    isWhole: (view) => view.hasRoute(ONE.subnet),
  },
];

/** By injury and contender, the milliseconds of each round until all was whole again; undefined: not within the patience. */
export type HealingFigures = Map<string, Map<string, (number | undefined)[]>>;

/**
 * Measures.
 *
 * @param patience Milliseconds after which something is taken for lost.
 */
export async function measureHealing(
  entrants: readonly Entrant[],
  rounds: number,
  patience: number,
): Promise<HealingFigures> {
  const figures: HealingFigures = new Map(
    INJURIES.map(({ name }) => [name, new Map(entrants.map((e) => [e.contender.name, []]))]),
  );
  for (const backend of ["vxlan", "host-gw"] as const) {
    const injuries = INJURIES.filter((injury) => injury.backend === backend);
    await Promise.all(entrants.map(async ({ contender, host }) => {
      const cluster = await contender.cluster(`heal${backend.replace("-", "")}`, backend);
      await cluster.writer.write(PEERS.map((lease) => ({ ...lease, backend })));
      using routes = new RouteWatch(host);
      const agent = await cluster.start(host);
      await routes.made(PEERS.length, agent);
      await sleep(2000);
      for (const injury of injuries) {
        const into = figures.get(injury.name)!.get(contender.name)!;
        for (let round = 0; round < rounds; round++) {
          const took = await hurt(host, contender.device, injury, patience);
          into.push(took);
          // What did not come back once is not waited for again.
          if (took === undefined) break;
        }
      }
      await agent.stop();
      await contender.clean(host);
    }));
  }
  return figures;
}

async function hurt(
  host: Host,
  device: string,
  injury: Injury,
  patience: number,
): Promise<number | undefined> {
  using view = new KernelView(host);
  // At any moment between two looks of an agent that looks every second.
  await sleep(1000 + Math.random() * 1000);
  const begin = performance.now();
  injury.harm(view, device);
  while (performance.now() - begin < patience) {
    if (injury.isWhole(view, device)) return performance.now() - begin;
    await sleep(performance.now() - begin < 2000 ? 1 : 20);
  }
  return undefined;
}
