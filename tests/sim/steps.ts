/**
 * What happens to a simulated cluster.
 *
 * @module
 */
import type { Simulation } from "./simulation.ts";
import type { SimTable } from "./sim_store.ts";

/** What may happen. */
export interface Step {
  readonly name: string;
  readonly weight: number;
  readonly fits?: (world: Simulation) => boolean;
  readonly run: (world: Simulation) => Promise<string> | string;
}

/** All that may happen. */
export const STEPS: readonly Step[] = [
  {
    name: "join",
    weight: 4,
    fits: (world) => world.idle.length > 0,
    run: (world) => {
      const host = world.dice.pick(world.idle);
      host.start();
      return host.name;
    },
  },
  {
    name: "kill",
    weight: 4,
    fits: (world) => world.running.length > 0,
    run: (world) => {
      const host = world.dice.pick(world.running);
      host.kill();
      return host.name;
    },
  },
  {
    name: "reboot",
    weight: 2,
    fits: (world) => world.running.length > 0,
    run: (world) => {
      const host = world.dice.pick(world.running);
      host.reboot();
      return host.name;
    },
  },
  {
    name: "leave",
    weight: 2,
    fits: (world) => world.running.length > 1 && !world.store.away,
    run: async (world) => {
      const host = world.dice.pick(world.running);
      // One that cannot reach the store cannot give its lease back.
      if (host.way.cut || host.way.lossy > 0 || !host.well) return `${host.name} cannot`;
      await host.leave();
      return host.name;
    },
  },
  {
    name: "move",
    weight: 2,
    fits: (world) => world.running.length > 0,
    run: (world) => {
      const host = world.dice.pick(world.running);
      host.move(world.nextAddress());
      return `${host.name} to ${host.address}`;
    },
  },
  {
    name: "swap",
    weight: 2,
    fits: (world) => world.running.length > 0,
    run: (world) => {
      const one = world.dice.pick(world.running);
      const other = world.dice.pick(world.hosts.filter((host) => host !== one));
      const { address } = one;
      one.move(other.address);
      other.move(address);
      return `${one.name} to ${one.address}, ${other.name} to ${other.address}`;
    },
  },
  {
    name: "away",
    weight: 2,
    fits: (world) => !world.store.away,
    run: (world) => {
      world.store.away = true;
      return "";
    },
  },
  {
    name: "back",
    weight: 4,
    fits: (world) => world.store.away,
    run: (world) => {
      world.store.away = false;
      return "";
    },
  },
  {
    name: "cut",
    weight: 3,
    run: (world) => {
      const host = world.dice.pick(world.hosts);
      host.way.cut = !host.way.cut;
      return `${host.name}: ${host.way.cut}`;
    },
  },
  {
    name: "lossy",
    weight: 3,
    run: (world) => {
      const host = world.dice.pick(world.hosts);
      host.way.lossy = host.way.lossy > 0 ? 0 : 0.3;
      return `${host.name}: ${host.way.lossy}`;
    },
  },
  {
    name: "keep a copy",
    weight: 1,
    run: (world) => {
      world.store.keep();
      return "";
    },
  },
  {
    name: "go back",
    weight: 1,
    fits: (world) => world.store.copied,
    run: (world) => {
      world.store.goBack();
      world.harmed = true;
      return "";
    },
  },
  {
    name: "empty",
    weight: 1,
    run: (world) => {
      const tables: SimTable[] = ["knet_leases", "knet_leases", "knet_meta"];
      const table = world.dice.pick(tables);
      world.store.empty(table);
      world.harmed = true;
      return table;
    },
  },
  {
    name: "wait",
    weight: 12,
    run: async (world) => {
      const seconds = world.dice.whole(1, 20);
      await world.wait(seconds * 1000);
      return `${seconds} s`;
    },
  },
];
