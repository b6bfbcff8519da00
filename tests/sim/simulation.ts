/**
 * One simulated cluster: steps by a seed, and what has to be so after each calm.
 *
 * @module
 */
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { isExpired } from "../../core/cluster/allocate.ts";
import { identityText } from "../../core/store/identity.ts";
import { Dice } from "../chaos/dice.ts";
import { SimClock } from "./sim_clock.ts";
import { SimHost } from "./sim_host.ts";
import { ModelSimStore, type SimStore } from "./sim_store.ts";
import { SqliteSimStore } from "./sqlite_store.ts";
import { STEPS } from "./steps.ts";

/** Seconds; short, so that leases expire within a simulation. */
const TTL = 120;
/** Simulated milliseconds within which a host asks again for an address that another one has. */
const RETRY = 20_000;
/** Simulated milliseconds in which everything has to be well after the last harm: all rows are compared in half of a lease's life. */
const CALM = TTL * 500 + 5000;

/** One simulated cluster. */
export class Simulation {
  readonly dice: Dice;
  readonly clock: SimClock;
  readonly store: SimStore;
  readonly hosts: readonly SimHost[];
  /** What happened, for whoever has to find out why. */
  readonly log: string[] = [];
  /** Whether the store may have lost something since the last adoption. */
  harmed = false;
  #address = 50;

  private constructor(dice: Dice, clock: SimClock, store: SimStore, hosts: number) {
    this.dice = dice;
    this.clock = clock;
    this.store = store;
    this.hosts = Array.from(
      { length: hosts },
      (_, n) => new SimHost(`h${n + 1}`, `192.168.2.${n + 1}`, this.store),
    );
  }

  /**
   * Runs one.
   *
   * @param folder Where the database of a real store lies, in memory's file system, best; undefined: a model of the store.
   * @throws {Error} if something is not as it has to be, with what happened before.
   */
  static async run(
    seed: number,
    steps: number,
    folder?: string,
    hosts = 6,
  ): Promise<readonly string[]> {
    const dice = new Dice(seed);
    using clock = new SimClock(dice);
    await using store = folder === undefined
      ? new ModelSimStore(dice)
      : new SqliteSimStore(folder, dice);
    const world = new Simulation(dice, clock, store, hosts);
    try {
      await world.hosts[0]!.way.store.initConfig(
        makeClusterConfig({ network: "10.244.0.0/20", leaseTtl: TTL }),
      );
      for (const host of world.hosts.slice(0, 3)) host.start();
      for (let n = 1; n <= steps; n++) {
        const step = dice.weighed(STEPS.filter(({ fits }) => fits?.(world) ?? true));
        world.log.push(`${n} ${step.name}`);
        world.log[world.log.length - 1] += ` ${await step.run(world)}`;
        await world.wait(dice.whole(0, 2000));
        if (n % 20 === 0) await world.calm();
      }
      return world.log;
    } catch (error) {
      const states = world.hosts.map((host) =>
        `${host.name} ${host.running} ${host.own?.subnet} ${host.health}`
      );
      throw new Error(
        `seed ${seed}: ${(error as Error).message}\n${states.join("\n")}\n${
          world.log.slice(-70).join("\n")
        }`,
        { cause: error },
      );
    } finally {
      for (const host of world.hosts) host.kill();
      await world.wait(0);
    }
  }

  get running(): SimHost[] {
    return this.hosts.filter(({ running }) => running);
  }
  get idle(): SimHost[] {
    return this.hosts.filter(({ running }) => !running);
  }

  nextAddress(): string {
    this.#address++;
    return `192.168.${3 + Math.floor(this.#address / 250)}.${this.#address % 250 + 1}`;
  }

  /** Lets time go on. */
  async wait(milliseconds: number): Promise<void> {
    await this.clock.advance(milliseconds, async () => {
      // What goes on without time: rounds of promises, and calls of a real store, which take real time.
      for (let quiet = 0; quiet < this.store.rounds; quiet++) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (this.store.busy > 0) quiet = -1;
      }
    });
  }

  /** Puts all right, waits, and looks. */
  async calm(): Promise<void> {
    this.store.away = false;
    for (const host of this.hosts) {
      host.way.cut = false;
      host.way.lossy = 0;
      if (!host.running && host.member) host.start();
    }
    await this.wait(10_000);
    if (this.harmed) {
      this.harmed = false;
      // Where nobody noticed, nothing that anybody knew was lost.
      const noticed = this.running.filter(({ health }) => health.startsWith("different"));
      if (noticed.length > 0) {
        const member = this.dice.pick(noticed);
        const knows = this.hosts.map(({ name, known }) =>
          `${name} ${identityText(known?.mark.identity ?? 0)}`
        );
        this.log.push(`adopted by ${member.name}: ${member.health} (${knows.join(", ")})`);
        await this.store.adopt(member.known);
      }
    }
    await this.wait(CALM);
    await this.#look();
    this.log.push("calm");
  }

  async #look(): Promise<void> {
    const inside = this.running;
    // Whoever came to an emptied store first was refused, and there is nobody else.
    if (inside.length === 0) return;
    for (const host of inside) assert.ok(host.well, `${host.name} is not well: ${host.health}`);
    const held = inside.map(({ own }) => own!.subnet);
    assert.equal(new Set(held).size, held.length, `two hosts have one subnet: ${held.join(" ")}`);
    const { leases, now } = await this.hosts[0]!.way.store.listLeases();
    for (const host of inside) {
      const row = leases.find(({ nodeId }) => nodeId === host.name);
      assert.equal(row?.subnet, host.own!.subnet, `${host.name}: its lease is what it holds`);
      // Of one that does not run nobody hears that it has moved; when its lease has ended it is tried again by and by.
      const theirs = leases.some((lease) =>
        lease.publicIp === host.address && !isExpired(lease, now - RETRY) &&
        !inside.some(({ name }) => name === lease.nodeId)
      );
      if (!theirs) assert.equal(row!.publicIp, host.address, `${host.name}: its address is told`);
      assert.ok(!isExpired(row!, now), `${host.name}: its lease lives`);
      const peers = [...host.kernel.values()].map(({ nodeId, subnet, publicIp }) =>
        `${nodeId} ${subnet} ${publicIp}`
      ).sort();
      const wanted = leases.filter(({ nodeId }) => nodeId !== host.name)
        .map(({ nodeId, subnet, publicIp }) => `${nodeId} ${subnet} ${publicIp}`).sort();
      assert.deepEqual(peers, wanted, `${host.name}: its kernel is as the store says`);
    }
  }
}
