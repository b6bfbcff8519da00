/**
 * The cluster's own store as one host has it: its replica, the server of the store's own interface over it, and the way of this host's
 * agent and commands to whoever holds a copy.
 *
 * Longer than others: when what is served, to whom, and by which replica is decided in one place.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sleep } from "../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import { knownBy } from "../store/adoption.ts";
import type { CopyInfo } from "../store/admin.ts";
import { dqliteEngine } from "../store/dqlite/engine.ts";
import { wayByDoor } from "../store/dqlite/door.ts";
import { nameOf, readIdentity } from "../store/dqlite/identity.ts";
import type { Way } from "../store/dqlite/leader.ts";
import { joinCluster, removeMember } from "../store/dqlite/join.ts";
import { Replica } from "../store/dqlite/replica.ts";
import { type ByteStream, carry, closeQuietly } from "../store/dqlite/stream.ts";
import type { Engine } from "../store/engine.ts";
import { acceptRecovered } from "../store/recovery.ts";
import { readSnapshot } from "../store/snapshot.ts";
import { storeSockets } from "../store/remote/agent_way.ts";
import { copiesOf } from "../store/remote/dispatch.ts";
import { Link, type RemoteWay } from "../store/remote/link.ts";
import { type Peer, type Served, StoreServer } from "../store/remote/server.ts";
import type { Members } from "../store/remote/values.ts";
import { raftOnly } from "./raft_only.ts";
import { indexesBy, memberAsker } from "./members_by_others.ts";
import { holdsCopy, serversOf } from "./held_servers.ts";
import { serveStoreSockets } from "./store_sockets.ts";
import { awayBy, type CarrierMaker, type HostPlace, type StoreCarrier } from "./store_carrier.ts";
import { serveReach } from "./reach.ts";
import { retire } from "./retire.ts";
import { refuseTwin } from "./twin.ts";

const log = getLogger(["knet", "store"]);

/** Milliseconds that one call may take. */
const DEADLINE = 5000;
/** Milliseconds between tries to start the replica: at first, and at most. */
const [SOON, LATE] = [300, 5000];
/** Milliseconds that a new member may wait: one is made at a time. */
const JOINING = 30_000;
/** Milliseconds that this host's programs wait for a replica that is just starting. */
const STARTING = 4000;
/** Milliseconds that leaving may take. */
const LEAVING = 10_000;

/** What a host holds its store with. */
export interface HeldStoreOptions {
  /** The replica's. */
  readonly directory: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly nodeId: string;
  /** Whether this host has joined a cluster already: then it begins none. */
  readonly existing: boolean;
  readonly carrier?: CarrierMaker | undefined;
  /** Where a host is by its lease. */
  readonly addressesOf: (nodeId: string) => readonly string[];
  /** A host's name by its node id. */
  readonly hostName: (nodeId: string) => string;
}

/** A store that this host takes part in. */
export class HeldStore implements AsyncDisposable {
  readonly #options: HeldStoreOptions;
  readonly #server: StoreServer;
  readonly #stop = new AbortController();
  #begins: boolean;
  #superseded = false;
  /** Its copy was recovered, and the store has not accepted that yet: others' copies are no way to it. */
  #recovering: boolean;
  readonly #stack = new AsyncDisposableStack();
  #carrier: StoreCarrier | undefined;
  #replica: Replica | undefined;
  #engine: Engine | undefined;
  #trouble: unknown;
  /** Where this host is. */
  #address: string | undefined;
  #running: Promise<void> = Promise.resolve();

  private constructor(options: HeldStoreOptions) {
    this.#options = options;
    const { directory, carrier, existing } = options;
    const seeds = carrier?.seeds ?? [];
    this.#begins = !existing && seeds.length === 0 && readIdentity(directory) === undefined;
    this.#recovering = isRecovering(directory);
    this.#server = new StoreServer(() => this.#served());
  }

  /**
   * Begins to take part, and returns at once: the network does not wait for the store.
   *
   * @throws {KnetError} if its sockets cannot be made, or the port to other hosts cannot be opened.
   */
  static async start(options: HeldStoreOptions): Promise<HeldStore> {
    const made = new HeldStore(options);
    try {
      made.#stack.use(
        serveStoreSockets(options.stateDir, {
          store: (stream, peer) => made.#acceptLocal(stream, peer),
          reach: (stream) => serveReach(stream, made.#carrier, options.hostName),
        }),
      );
      made.#carrier = await options.carrier?.start({
        nodeId: options.nodeId,
        dataDir: options.dataDir,
        addressesOf: options.addressesOf,
        holders: () => made.#servers([]),
        servers: {
          replica: (stream, nodeId) => made.#acceptReplica(stream, nodeId),
          store: (stream, peer) => made.#server.accept(stream, peer),
        },
      });
      made.#running = made.#run();
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  /** What messages call the store. */
  get location(): string {
    return `dqlite:${this.#options.directory}`;
  }

  /** Who holds copies, as far as this host knows. */
  get copies(): readonly CopyInfo[] {
    return copiesOf(this.#members, this.#options.hostName);
  }

  /** The way of this host's agent: to the host that leads, if it is known, else to any that has a copy. */
  get way(): RemoteWay {
    return {
      location: this.location,
      servers: () => this.#servers(),
      dial: (host) => this.#dial(host),
    };
  }

  /**
   * Waits until the replica runs, and knows whether it has a copy.
   *
   * @throws why it does not.
   */
  async started(patience: number): Promise<void> {
    await this.#begun(patience);
    if (this.#replica === undefined) throw this.#trouble ?? new KnetError("no replica runs");
    // What it wrote down of the members may be from before it got its copy.
    await this.#replica.refresh().catch(() => {});
  }

  /** Waits until the replica runs, but no longer than that. */
  async #begun(patience: number): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.#running, sleep(patience, late.signal)]);
    late.abort();
  }

  /** TCP port that other hosts reach it by; undefined where none does. */
  get port(): number | undefined {
    return this.#carrier?.number;
  }

  /** This host is there now. */
  at(place: HostPlace): void {
    this.#carrier?.at?.(place);
    // What was connected from another address gets no answer any more, and no end either.
    if (this.#address !== undefined && this.#address !== place.address) this.#engine?.reset();
    this.#address = place.address;
  }

  /**
   * Takes this host out of those that hold the store, unless it is the last with a vote. Another one leads then.
   *
   * @returns `out`: others go on, and what this host holds is of no use any more; `last`: it stays a member; `member`: it has no copy, and
   * no way to do it: {@linkcode HeldStore.retire} does it with its certificate, once, since it is let in no more after that.
   * @throws {StoreAwayError} if it holds a copy and is not out.
   */
  async leave(): Promise<"out" | "last" | "member"> {
    const replica = this.#replica;
    if (replica === undefined) return "last";
    // A member that was just given a vote and does not know it would leave a gap.
    await replica.refresh().catch(() => {});
    if (this.#hasCopy) {
      const out = await removeMember(this.#wayOf(replica), this.#options.nodeId, LEAVING);
      return out ? "out" : "last";
    }
    return replica.cluster.members.length > 1 ? "member" : "last";
  }

  /**
   * Has this host taken out, and its certificates revoked, by those who hold the store, when it has left them.
   *
   * @throws {KnetError} if none of them does it.
   */
  async retire(): Promise<void> {
    const { nodeId, carrier } = this.#options;
    const hosts = serversOf(this.#members, undefined, carrier?.seeds ?? [])
      .filter((host) => host !== nodeId);
    const way = { location: this.location, servers: () => hosts };
    await retire({ ...way, dial: (host) => this.#outside(host, "store") }, nodeId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#server[Symbol.dispose]();
    await this.#engine?.close();
    await this.#replica?.stop();
    await this.#carrier?.[Symbol.asyncDispose]();
    await this.#stack.disposeAsync();
  }

  get #members(): Members {
    const { members = [], leader } = this.#replica?.cluster ?? {};
    const known = members.length > 0 ? members : wayByDoor(this.#options.directory).remembered();
    const generation = this.#replica?.generation;
    return {
      members: known,
      ...(leader !== undefined && { leader }),
      ...(generation !== undefined && { generation }),
    };
  }

  /** Whether this host has a copy: it votes, stands by, or is the first. */
  get #hasCopy(): boolean {
    const { members } = this.#members;
    if (members.length === 0) return this.#begins;
    return holdsCopy(members, this.#options.nodeId);
  }

  /**
   * Hosts to ask (node ids), the best first.
   *
   * @param seeds Asked last; none of them need have a copy.
   */
  #servers(seeds = this.#options.carrier?.seeds ?? []): readonly string[] {
    const { nodeId } = this.#options;
    if (this.#recovering) return [nodeId];
    return serversOf(this.#members, this.#hasCopy ? nodeId : undefined, seeds);
  }

  async #dial(host: string): Promise<ByteStream> {
    const { nodeId, stateDir } = this.#options;
    if (host === nodeId) {
      // Another host answers at once.
      if (this.#replica === undefined) throw this.#away;
      return await Deno.connect({ transport: "unix", path: storeSockets(stateDir).all });
    }
    return await this.#outside(host, "store");
  }

  async #outside(host: string, purpose: "replica" | "store"): Promise<ByteStream> {
    if (this.#carrier === undefined) {
      throw new StoreAwayError("this host has no way to other hosts");
    }
    try {
      return await this.#carrier.dial(host, purpose);
    } catch (error) {
      throw awayBy(error);
    }
  }

  /** Why this host's replica cannot be asked. */
  get #away(): KnetError {
    return this.#trouble instanceof KnetError ? this.#trouble : new StoreAwayError(
      `Cannot use the store ${this.location}: this host's replica is just starting`,
      { remedy: "Try again in a few seconds" },
    );
  }

  /** The same, when a replica that is just starting had its time. */
  async #servedSoon(): Promise<Served> {
    if (this.#replica === undefined && this.#trouble === undefined) await this.#begun(STARTING);
    return await this.#served();
  }

  async #served(): Promise<Served> {
    const replica = this.#replica, engine = this.#engine;
    if (replica === undefined || engine === undefined) throw this.#away;
    if (!this.#hasCopy) {
      throw new StoreAwayError(
        `Cannot use the store ${this.location}: this host holds no copy of it`,
      );
    }
    const way = this.#wayOf(replica);
    const { hostName } = this.#options;
    return await Promise.resolve({
      engine,
      repairing: () => Promise.resolve(dqliteEngine(way, DEADLINE, false, undefined, true)),
      replicas: {
        members: () => this.#members,
        refresh: () => replica.refresh(),
        index: () => replica.position?.index,
        indexes: () => this.#indexes(replica),
        async remove(gone) {
          if (await removeMember(way, gone, LEAVING)) return;
          throw new KnetError(
            `Cannot take ${hostName(gone)} out of those that hold the store: no other host votes`,
            { exitCode: 4, remedy: "Run knet leave there: its copy stays" },
          );
        },
        nameOf: hostName,
        add: async ({ id, address }) => {
          const seeds = this.#members.members.map((member) => member.address);
          const members = await joinCluster(
            replica.way,
            { id, address, member: false },
            seeds.length > 0 ? seeds : [replica.address],
            JOINING,
          );
          return { ...this.#members, members };
        },
      },
    });
  }

  /** How far each copy is, as far as its host says so in a moment. */
  async #indexes(replica: Replica): Promise<ReadonlyMap<string, number>> {
    const { nodeId } = this.#options;
    const hosts = this.#members.members.filter(({ role }) => role !== "spare")
      .map(({ address }) => nameOf(address));
    const way = { location: this.location, dial: (host: string) => this.#outside(host, "store") };
    return await indexesBy(way, hosts.filter((host) => host !== nodeId), {
      ...(hosts.includes(nodeId) && { [nodeId]: replica.position?.index }),
    });
  }

  /** The way to the nodes, in whose messages hosts have their names. */
  #wayOf({ way }: Replica): Way {
    return { ...way, hostOf: (address) => this.#options.hostName(nameOf(address)) };
  }

  /** Starts the replica, again and again until it runs. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let wait = SOON; !signal.aborted; wait = Math.min(wait * 2, LATE)) {
      try {
        if (readIdentity(this.#options.directory) !== undefined) {
          await refuseTwin(this.#carrier, this.#options);
        }
        this.#replica = await this.#start();
        this.#engine = dqliteEngine(this.#wayOf(this.#replica), DEADLINE);
        this.#trouble = undefined;
        return;
      } catch (error) {
        const message = messageOf(error);
        if (message !== messageOf(this.#trouble)) log.warn("{message}", { message });
        this.#trouble = error;
      }
      await sleep(wait, signal);
    }
  }

  async #start(): Promise<Replica> {
    const { directory, nodeId, carrier } = this.#options;
    const way: RemoteWay = {
      location: this.location,
      servers: () => this.#servers().filter((host) => host !== nodeId),
      dial: (host) => this.#outside(host, "store"),
    };
    const others = new Link(way, DEADLINE);
    this.#stack.defer(() => others.close());
    const joins = !this.#begins && ((carrier?.seeds.length ?? 0) > 0 || this.#superseded);
    const replica = await Replica.start({
      directory,
      name: nodeId,
      transport: { dial: (address) => this.#outside(nameOf(address), "replica") },
      begin: this.#begins,
      ...(joins && {
        join: ({ id }) => others.ask("joinReplica", { nodeId, id }),
      }),
      ask: memberAsker(way, others, () => way.servers()),
      onSuperseded: () => this.#again(),
      onProblem: (sentence) => log.debug("{sentence}", { sentence }),
    });
    try {
      await this.#accept(replica);
      return replica;
    } catch (error) {
      await replica.stop();
      throw error;
    }
  }

  /** What was recovered from this host's copy is the store from here on, and who was lost is let in no more, before anybody is served. */
  async #accept(replica: Replica): Promise<void> {
    const { recovery } = replica;
    if (recovery === undefined) return;
    const known = knownBy(readSnapshot(this.#options.dataDir, undefined, () => {}));
    const engine = dqliteEngine(replica.way, LEAVING);
    try {
      await acceptRecovered(engine, known, recovery.dropped);
    } finally {
      await engine.close();
    }
    await this.#carrier?.heedRevoked?.();
    replica.accepted();
    this.#recovering = false;
    log.warn("The store was recovered from this host's copy");
  }

  /** Gives this host's copy up: its cluster was recovered from another's. It joins that one. */
  #again(): void {
    this.#running = this.#running.then(async () => {
      if (this.#stop.signal.aborted) return;
      log.warn("The store was recovered from another host's copy: this host gets a new one");
      const [engine, replica] = [this.#engine, this.#replica];
      this.#engine = this.#replica = undefined;
      this.#begins = false;
      this.#superseded = true;
      await engine?.close();
      await replica?.stop();
      // Whoever was lost must not come by this host to a store that lets it in no more.
      const members = this.#members.members.map(({ address }) => nameOf(address));
      await this.#carrier?.heedRevokedBy?.(members);
      await this.#run();
    });
  }

  /**
   * Another host's replica. One without a copy gets none by this way either. Nor does one that is not known here: a host that comes back
   * after long knows neither who has joined since nor who has a vote by now, and hears it from just those. Who has become a member, or
   * got a copy, since the last look is not sent away for that.
   */
  async #acceptReplica(stream: ByteStream, nodeId: string): Promise<void> {
    const hasNone = () => [undefined, "spare"].includes(this.#roleOf(nodeId));
    if (hasNone()) await this.#replica?.refresh().catch(() => {});
    const stranger = this.#roleOf(nodeId) === undefined && this.#members.leader !== undefined;
    if (this.#replica === undefined || stranger) return closeQuietly(stream);
    await this.#replica.accept(hasNone() ? raftOnly(stream) : stream);
  }

  #roleOf(nodeId: string): Members["members"][number]["role"] | undefined {
    return this.#members.members.find(({ address }) => nameOf(address) === nodeId)?.role;
  }

  /** One of this host's programs; where this host has no copy, it is led to one that has. */
  async #acceptLocal(stream: ByteStream, peer: Peer): Promise<void> {
    const led = !this.#hasCopy && peer.role === "admin" && this.#carrier !== undefined;
    if (!led) return await this.#server.accept(stream, peer, () => this.#servedSoon());
    for (const host of this.#servers()) {
      try {
        await carry(stream, await this.#outside(host, "store"));
        return;
      } catch {
        // The next one may answer.
      }
    }
    closeQuietly(stream);
  }
}

/** Whether a copy was recovered and not accepted yet. What is wrong with the file is said when the replica starts. */
function isRecovering(directory: string): boolean {
  try {
    return readIdentity(directory)?.recovery?.stage === "accept";
  } catch {
    return false;
  }
}
