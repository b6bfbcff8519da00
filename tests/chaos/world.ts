/**
 * A cluster under chaos: which hosts are members, what of them runs, and what has to be so when it is calm.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Lease } from "../../core/cluster/lease.ts";
import type { StatusReport } from "../../core/inspect/status.ts";
import { assertFullMesh, containersOf, NETWORK } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { faketimeBy } from "../support/faketime.ts";
import type { Lab, StoreKind } from "../support/lab.ts";
import { until } from "../support/wait.ts";
import { isThere, labOf, readdress } from "./chaos_lab.ts";
import { converged } from "../support/walk.ts";

/** The file on each host that says how far its clock is off. */
const CLOCK = "/run/host/clock";

/** How a host that holds the cluster's own store begins or goes on, without a token. */
const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

/** Milliseconds that a calm may take to come. */
const PATIENCE = 60_000;

/** Where a host stands. */
export type Standing =
  /** Its agent runs. */
  | "in"
  /** Its agent is stopped in the middle of whatever it did. */
  | "frozen"
  /** It is a member without an agent. */
  | "down"
  | "out";

/** One host and where it stands. */
export interface Member {
  readonly host: Host;
  standing: Standing;
}

/** The cluster. */
export class World implements AsyncDisposable {
  readonly lab: Lab;
  readonly members: readonly Member[];
  /** What has to be taken back before it is calm, by what it is. */
  readonly pending = new Map<string, () => Promise<unknown>>();
  /** Addresses that were given to hosts that moved. */
  moves = 0;
  /** Backups that were made. */
  backups = 0;
  /** Whether a backup was restored since the last calm. */
  restored = false;
  /** Whether another server serves, which may lack what came last. */
  failedOver = false;
  /** Adoptions after a fail-over that had lost writes. */
  adoptions = 0;
  /** Calms that came. */
  calms = 0;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.members = lab.hosts.map((host) => ({ host, standing: "out" }));
  }

  /** Builds a lab; its first three hosts join. */
  static async create(hosts: number, store: StoreKind): Promise<World> {
    const world = new World(await labOf(hosts, store));
    try {
      for (const { host } of world.members) await world.setClock(host, 0);
      const cluster = ["--network", NETWORK, "--lease-ttl", "30"];
      const [first, ...others] = world.members.slice(0, 3);
      if (world.ownStore) await world.#begin(first!, cluster);
      else {
        await first!.host.knet(["init", ...cluster]);
        await world.join(first!);
      }
      for (const member of others) await world.join(member);
      await world.calm();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Members that stand so. */
  standing(...standings: readonly Standing[]): Member[] {
    return this.members.filter(({ standing }) => standings.includes(standing));
  }

  /** Whether the hosts hold the store themselves. */
  get ownStore(): boolean {
    return this.lab.store === "dqlite";
  }

  /** Members that reach the store. */
  get leavers(): Member[] {
    const { pending } = this;
    // Others have to answer, then: who is frozen or down votes, too.
    const doubtful = this.standing("frozen", "down").length > 0 ||
      [...pending.keys()].some((what) => / (on|of) h/.test(what) && !what.startsWith("clock"));
    if (this.ownStore && doubtful) return [];
    if (pending.has("store") || pending.has("standby")) return [];
    return this.standing("in").filter(({ host }) =>
      !pending.has(`loss on ${host.name}`) && !pending.has(`bad link of ${host.name}`)
    );
  }

  /** Starts the agent of a host, member or not; its container is attached when it is ready. */
  async join(member: Member): Promise<void> {
    // Who was ended before it was let in needs a token again.
    const invited = this.ownStore && !isThere(member.host.path("/run/host/data/node.pem"));
    const args = invited ? [await this.#token()] : [];
    const env = { ...faketimeBy(CLOCK), ...(this.ownStore && !invited && OWN) };
    await member.host.join({ wait: false, env, args });
    member.standing = "in";
  }

  /** Makes the cluster, whose store the hosts hold. */
  async #begin(member: Member, cluster: readonly string[]): Promise<void> {
    await member.host.join({ env: { ...faketimeBy(CLOCK), ...OWN }, args: cluster });
    member.standing = "in";
  }

  /** What a host joins by, of whoever can give it. */
  async #token(): Promise<string> {
    let word: string | undefined;
    await this.#patiently("a host gives a token", async () => {
      for (const { host } of this.standing("in")) {
        const { code, stdout } = await host.knet("token", { check: false });
        if (code === 0) word = stdout.trim().split(" ").at(-1);
      }
      return word !== undefined;
    });
    return word!;
  }

  /** Puts a host's clock off by so many seconds. */
  async setClock(host: Host, seconds: number): Promise<void> {
    await Deno.writeTextFile(host.path(CLOCK), `${seconds < 0 ? "" : "+"}${seconds}`);
  }

  /** Ends the agent. */
  async kill(member: Member, signal: Deno.Signal): Promise<void> {
    await member.host.stop(signal);
    member.standing = "down";
  }

  /** Takes a host out for good. One that could not give its lease back belongs to the cluster still, without an agent. */
  async leave(member: Member): Promise<boolean> {
    const { host } = member;
    await host.stop();
    const { code, stderr } = await host.knet("leave", { check: false });
    if (code !== 0 && !/The network is down on this host/.test(stderr)) throw new Error(stderr);
    host.containers.length = 0;
    await host.run("ip netns delete c1", { check: false });
    member.standing = code === 0 ? "out" : "down";
    return code === 0;
  }

  /** Stops an agent in the middle of what it does, or lets it go on. */
  freeze(member: Member, on: boolean): void {
    member.host.agent!.signal(on ? "SIGSTOP" : "SIGCONT");
    member.standing = on ? "frozen" : "in";
  }

  /** Puts all right that was broken on purpose, and waits until everything is as it should be. */
  async calm(): Promise<number> {
    const begin = performance.now();
    // A standby follows a primary that runs.
    const last = (what: string) => Number(what === "standby");
    for (const [what, takeBack] of [...this.pending].sort(([a], [b]) => last(a) - last(b))) {
      this.pending.delete(what);
      await takeBack();
    }
    for (const member of this.standing("frozen")) this.freeze(member, false);
    for (const member of this.standing("down")) await this.join(member);
    for (const member of this.standing("in")) {
      // One whose link was down when it joined first has nothing to go on with, and says so.
      if (member.host.agent?.ended?.code === 3 && member.host.containers.length === 0) {
        await this.join(member);
      }
    }
    const inside = this.standing("in").map(({ host }) => host);
    for (const host of inside) {
      assert.equal(host.agent?.ended, undefined, `the agent of ${host.name} ended by itself`);
      await this.#patiently(`${host.name} is ready`, async () => {
        if (host.agent?.ended !== undefined) {
          throw new Error(`its agent ended: ${host.agent.stderr}`);
        }
        return (await host.get("/readyz")).status === 200;
      });
      if (host.containers.length === 0) await host.attach("c1");
    }
    if (this.failedOver) await this.#adoptIfNeeded(inside);
    for (const host of inside) {
      await this.#patiently(`the store of ${host.name} is well`, async () => {
        const { store } = await host.knetJson<StatusReport>("status");
        if (store.state !== "ok") throw new Error(JSON.stringify(store));
        return true;
      });
    }
    if (this.restored) {
      // Who left since the backup is in the store again, as an expired lease: only the administrator knows that it is gone.
      await this.#renewed(inside);
      await inside[0]!.knet("lease prune");
      this.restored = false;
    }
    await converged(inside, { deadline: PATIENCE });
    await this.#assertInvariants(inside);
    this.calms++;
    return performance.now() - begin;
  }

  /** Whoever had a wrong clock has said since that its lease lives; who has left may be there again, with another's address by now. */
  async #renewed(inside: readonly Host[]): Promise<void> {
    await this.#patiently("all members' leases live", async () => {
      const { leases } = await inside[0]!.knetJson<{ leases: (Lease & { state: string })[] }>(
        "lease ls",
      );
      const dead = leases.filter(({ state, nodeName }) =>
        state === "expired" && inside.some(({ name }) => name === nodeName)
      );
      if (dead.length > 0) throw new Error(dead.map(({ nodeName }) => nodeName).join(", "));
      return true;
    });
  }

  /** What an administrator does where a fail-over lost the last writes. */
  async #adoptIfNeeded(inside: readonly Host[]): Promise<void> {
    const states: string[] = [];
    for (const host of inside) {
      await this.#patiently(`${host.name} has an answer of the store`, async () => {
        const { store } = await host.knetJson<StatusReport>("status");
        states.push(store.state);
        if (store.state === "ok" || store.state === "different") return true;
        throw new Error(JSON.stringify(store));
      });
    }
    this.failedOver = false;
    if (!states.includes("different")) return;
    await inside[states.indexOf("different")]!.knet("store adopt");
    this.adoptions++;
    this.restored = true;
  }

  async #patiently(what: string, probe: () => Promise<boolean>): Promise<void> {
    await until(what, probe, { deadline: PATIENCE, interval: 100 });
  }

  async #assertInvariants(inside: readonly Host[]): Promise<void> {
    const held = await Promise.all(inside.map((host) => host.subnet()));
    assert.equal(new Set(held).size, held.length, `two hosts have one subnet: ${held.join(" ")}`);
    const { leases } = await inside[0]!.knetJson<{ leases: Lease[] }>("lease ls");
    const ofMembers = leases.filter(({ publicIp }) =>
      inside.some(({ address }) => address === publicIp)
    );
    assert.deepEqual(
      ofMembers.map(({ subnet }) => subnet).sort(),
      [...held].sort(),
      "the store's leases are those of the kernels",
    );
    for (const host of inside) {
      for (const container of host.containers) {
        const address = await container.currentAddress();
        assert.equal(address, container.address, `the container of ${host.name} was renumbered`);
      }
    }
    await assertFullMesh(containersOf(inside));
    for (const { host } of this.standing("out")) {
      const { stdout } = await host.sh(
        "ls /sys/class/net | grep '^knet' || true; ip route show proto 107; ip nexthop show proto 107; nft list tables | grep knet || true",
      );
      assert.equal(stdout, "", `${host.name} left, and something of it is there`);
    }
  }

  /** Gives a host another address on its underlay. */
  async move({ host }: Member): Promise<string> {
    // Those of the servers come behind; who has one already keeps it.
    const taken = this.members.map((member) => member.host.address);
    let address;
    do address = `192.168.2.${150 + ++this.moves % 48}`; while (taken.includes(address));
    await readdress(host, address);
    return address;
  }

  /** Gives each of two hosts the other's address. */
  async swap({ host: one }: Member, { host: other }: Member): Promise<void> {
    const [first, second] = [one.address, other.address];
    await one.run(`ip addr del ${first}/24 dev eth0`);
    await readdress(other, first);
    await readdress(one, second);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}
