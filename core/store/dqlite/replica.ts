/**
 * This host's replica: a node of the library, its door, its place among the members, and, while it leads, who holds a vote.
 *
 * Longer than others: all of the node's life is here, and each part of it looks at the others.
 *
 * @module
 */
import { FileLock } from "../../../ffi/file_lock.ts";
import { after, monotonicClock, sleep, type Timer } from "../../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { DqliteConnection } from "./connection.ts";
import { openDoor } from "./door.ts";
import {
  filesIn,
  type NodeIdentity,
  readMembersFile,
  type Recovery,
  writeIdentity,
  writeMembersFile,
} from "./identity.ts";
import type { Way } from "./leader.ts";
import { logEnd, type LogPosition } from "./log_end.ts";
import { joinCluster, membersByOthers } from "./join.ts";
import { answers, MemberWatch, PATIENCE } from "./member_watch.ts";
import { connectNode, serveNode } from "./node_socket.ts";
import { explainStart, prepareReplica } from "./prepare.ts";
import { giveUp } from "./recover.ts";
import { ROLE_RULES, type RoleRules, roles } from "./roles.ts";
import { RunningNode } from "./running_node.ts";
import {
  type ByteStream,
  carry,
  closeQuietly,
  type NodeTransport,
  readAddress,
  writeAddress,
} from "./stream.ts";
import type { Member } from "./wire.ts";

/**
 * Milliseconds that the library reckons with on the way to another node: heartbeats every 270 ms, a leader is missed after 0.9 to 1.8 s. A
 * program that programs thousands of routes, or collects garbage, does not carry a byte for some tenths of a second.
 */
const LATENCY = 60;
/** Milliseconds between looks at the members. */
const TICK = 3000;
/** Looks between questions to others by a node that follows a leader. */
const SELDOM = 10;
/** Milliseconds after which an address that did not answer is tried again: less than the second after which the library asks again. */
const REST = 500;
/** Milliseconds that a new node has to become a member: fifty may come at once, and one is made at a time. */
const JOINING = 60_000;

/** What others say of the members. */
export interface Told {
  readonly members: readonly Member[];
  /** See {@linkcode NodeIdentity}; absent is 0. */
  readonly generation?: number;
}

/** How a replica is started. */
export interface ReplicaOptions {
  /** Where it keeps what it has; made, and open to this user alone. */
  readonly directory: string;
  /** The host's name in the cluster: no other member's, no address. */
  readonly name: string;
  /** What carries its streams to other hosts. */
  readonly transport: NodeTransport;
  /** A replica that never was begins a cluster. */
  readonly begin?: boolean;
  /** A replica that never was joins the cluster of these nodes (addresses). */
  readonly seeds?: readonly string[];
  /** Makes a replica that never was a member in another way; all members. */
  readonly join?: (identity: NodeIdentity) => Promise<Told>;
  /** Asks in another way who is a member; none if nobody says. */
  readonly ask?: () => Promise<Told>;
  /** Told once that the cluster was recovered from another host's copy: started again, the replica gives its own up and joins. */
  readonly onSuperseded?: () => void;
  /** See `LATENCY`. */
  readonly latency?: number;
  readonly rules?: RoleRules;
  /** See `TICK`. */
  readonly tick?: number;
  /** Told of what goes wrong while it runs. */
  readonly onProblem?: (sentence: string) => void;
}

/** A replica that runs. */
export class Replica implements AsyncDisposable {
  readonly #options: ReplicaOptions;
  #identity: NodeIdentity;
  readonly #lock: FileLock;
  readonly #streams = new Set<ByteStream>();
  /** Addresses that are left alone until then. */
  readonly #resting = new Map<string, number>();
  readonly #watch: MemberWatch;
  #members: readonly Member[] = [];
  #leader: string | undefined;
  #node: RunningNode | undefined;
  #door: Disposable | undefined;
  #timer: Timer | undefined;
  #tick: Promise<void> = Promise.resolve();
  #stopped = false;
  #looks = 0;
  #superseded = false;

  private constructor(options: ReplicaOptions, identity: NodeIdentity, lock: FileLock) {
    this.#options = options;
    this.#identity = identity;
    this.#lock = lock;
    this.#watch = new MemberWatch(this.way);
  }

  /**
   * Starts this host's replica, and lets it join if it is no member yet.
   *
   * @throws {KnetError} exit code 3 without the library; 4 if another program runs it, its data is gone, or the host's name is another
   * member's; StoreAwayError if the cluster to join does not answer.
   */
  static async start(options: ReplicaOptions): Promise<Replica> {
    const { identity, lock } = prepareReplica(options);
    const made = new Replica(options, identity, lock);
    try {
      await made.#run();
    } catch (error) {
      await made.stop();
      throw explainStart(error, options.directory);
    }
    return made;
  }

  /** The node's address. */
  get address(): string {
    return this.#identity.address;
  }

  /** See {@linkcode NodeIdentity}. */
  get generation(): number {
    return this.#identity.generation ?? 0;
  }

  /** The recovery that this replica came by and the store has not accepted yet. */
  get recovery(): Recovery | undefined {
    return this.#identity.recovery;
  }

  /** The store has accepted the recovery. */
  accepted(): void {
    const { recovery: _, ...identity } = this.#identity;
    writeIdentity(this.#options.directory, identity);
    this.#identity = identity;
  }

  /** How far its copy is; undefined where it has none. An entry that is just written may be missing. */
  get position(): LogPosition | undefined {
    return logEnd(filesIn(this.#options.directory).data);
  }

  /** Looks who is a member now, instead of in a while. */
  async refresh(): Promise<void> {
    using own = await DqliteConnection.begin(await this.#own(), undefined, PATIENCE);
    await own.within(PATIENCE, async () => {
      const [leader, members] = [await own.leader(), await own.members()];
      this.#leader = leader?.address;
      if (members.length > 0) this.#members = members;
    });
  }

  /** The members when they were seen last, and the address of the one that leads, if it is known. */
  get cluster(): { readonly members: readonly Member[]; readonly leader: string | undefined } {
    return { members: this.#members, leader: this.#leader };
  }

  /** The way from this process to all nodes. */
  get way(): Way {
    return {
      location: `dqlite:${this.#options.directory}`,
      dial: (address) => this.#dial(address),
      remembered: () => this.#members,
      applied: () => this.#node?.applied,
    };
  }

  /**
   * Takes the other end of a stream that another host's transport made, and who is there is proven.
   *
   * @returns when the stream is over.
   */
  async accept(stream: ByteStream): Promise<void> {
    this.#streams.add(stream);
    try {
      const address = await readAddress(stream, PATIENCE);
      if (address === this.address) await serveNode(stream, await this.#own());
    } catch {
      // The other side sees the stream end, and comes again.
    } finally {
      this.#streams.delete(stream);
      closeQuietly(stream);
    }
  }

  /** Lets another voter lead, if this node does and another can, so that nobody has to wait until it is missed. */
  async handOver(): Promise<void> {
    using own = await DqliteConnection.begin(await this.#own(), undefined, PATIENCE);
    await own.within(PATIENCE, async () => {
      if ((await own.leader())?.id !== this.#identity.id) return;
      const heir = (await own.members()).find(({ id, role }) =>
        role === "voter" && id !== this.#identity.id && this.#watch.isAlive(id)
      );
      if (heir !== undefined) await own.transfer(heir.id);
    });
  }

  /** Stops the replica; it stays a member. Doing it twice does no harm. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    if (this.#node !== undefined) await this.handOver().catch(() => {});
    this.#watch.forget();
    this.#door?.[Symbol.dispose]();
    for (const stream of this.#streams) closeQuietly(stream);
    await this.#node?.stop();
    await this.#tick;
    this.#lock[Symbol.dispose]();
  }

  /** See {@linkcode Replica.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { directory, seeds = [], begin = false, latency = LATENCY, join } = this.#options;
    const { id, address, member } = this.#identity;
    const files = filesIn(directory);
    this.#members = readMembersFile(directory);
    this.#door = openDoor(files.door, (to, stream) => this.#lead(to, stream));
    this.#node = new RunningNode({
      id,
      address,
      directory: files.data,
      latency,
      door: files.door,
      mayTry: (to) => (this.#resting.get(to) ?? 0) <= monotonicClock(),
    });
    try {
      await this.#node.start(!member);
    } catch (error) {
      // A member that has no room comes back when it has.
      if (!member || !(error instanceof StoreAwayError)) throw error;
      this.#options.onProblem?.(messageOf(error));
    }
    if (!member) {
      if (!begin) {
        const told: Told = join === undefined
          ? { members: await joinCluster(this.way, this.#identity, seeds, JOINING) }
          : await join(this.#identity);
        this.#members = told.members;
        this.#identity = { ...this.#identity, generation: told.generation ?? 0 };
      }
      this.#identity = { ...this.#identity, member: true };
      writeIdentity(directory, this.#identity);
    }
    this.#next(0);
  }

  #next(milliseconds: number): void {
    if (this.#stopped) return;
    this.#timer = after(milliseconds, () => {
      this.#tick = this.#look().catch((error) => {
        this.#leader = undefined;
        if (!this.#stopped) this.#options.onProblem?.(messageOf(error));
      }).finally(() => this.#next(this.#options.tick ?? TICK));
    });
  }

  /** Looks who is a member, and, while this node leads, gives them their roles. */
  async #look(): Promise<void> {
    const { directory, rules = ROLE_RULES } = this.#options;
    if (this.#superseded) return;
    await this.#node?.look(() => this.handOver());
    using own = await DqliteConnection.begin(await this.#own(), undefined, PATIENCE);
    const [leader, members] = await own.within(
      PATIENCE,
      async () => [await own.leader(), await own.members()] as const,
    );
    this.#leader = leader?.address;
    // A spare has no copy, not even of who is a member. Whoever follows nobody, or those that were lost, has to hear of the next cluster.
    const seldom = leader?.id !== this.#identity.id && ++this.#looks % SELDOM === 0;
    const asks = members.length === 0 ||
      this.#options.ask !== undefined && (leader === undefined || seldom);
    const told = asks ? await this.#ask() : undefined;
    if (told !== undefined && this.#isSupersededBy(told)) return;
    const known = members.length > 0 ? members : told?.members ?? [];
    if (known.length > 0 && JSON.stringify(known) !== JSON.stringify(this.#members)) {
      writeMembersFile(directory, known);
      this.#members = known;
    }
    if (leader?.id !== this.#identity.id) return this.#watch.forget();
    const changes = roles(await this.#watch.look(members), leader.id, rules);
    // Who is to vote has to catch up first. The library must not lose this connection before it has answered.
    for (const { id, role } of changes) {
      if (this.#stopped) return;
      // Others than the first may have gone meanwhile.
      const { address } = members.find((member) => member.id === id)!;
      if (role !== "spare" && !await answers(this.way, address)) return;
      await own.assign(id, role);
    }
  }

  async #ask(): Promise<Told> {
    return await this.#options.ask?.() ??
      { members: await membersByOthers(this.way, this.address) };
  }

  /** Whether this node is none of a cluster that was recovered since; then it is given up. */
  #isSupersededBy({ members, generation = 0 }: Told): boolean {
    if (members.length === 0 || generation <= this.generation) return false;
    if (members.some(({ id }) => id === this.#identity.id)) return false;
    if (this.#stopped) return true;
    this.#superseded = true;
    giveUp(this.#options.directory, this.#identity, members);
    this.#options.onSuperseded?.();
    return true;
  }

  /** A stream to this host's own node. */
  async #own(): Promise<ByteStream> {
    if (this.#node === undefined) throw new KnetError("Cannot reach the replica: it does not run");
    return await connectNode(this.#node.socket);
  }

  /** A stream to any node. */
  async #dial(address: string): Promise<ByteStream> {
    if (address === "" || address === this.address) return await this.#own();
    const stream = await this.#outside(address);
    await writeAddress(stream, address);
    return stream;
  }

  /** A stream to another host; what fails rests for a while. */
  async #outside(address: string): Promise<ByteStream> {
    let late = false;
    const dialed = this.#options.transport.dial(address);
    try {
      return await Promise.race([
        dialed,
        sleep(PATIENCE).then(() => {
          late = true;
          throw new KnetError(`Cannot reach ${address}: no answer`);
        }),
      ]);
    } catch (error) {
      if (late) void dialed.then(closeQuietly, () => {});
      this.#rest(address);
      throw error;
    }
  }

  /** Keeps the library, which tries again at once, from an address for a while. */
  #rest(address: string): void {
    this.#resting.set(address, monotonicClock() + REST);
  }

  /** Brings who came by the door to a node. */
  async #lead(address: string, stream: ByteStream): Promise<void> {
    if (address === "" || address === this.address) {
      return await serveNode(stream, await this.#own());
    }
    const begin = monotonicClock();
    const other = await this.#dial(address);
    this.#streams.add(other);
    const ended = await carry(stream, other);
    this.#streams.delete(other);
    // A host that sends us away, having another node by now, is not asked again at once. Whoever came and went by himself says nothing
    // of it: a client that looks for the leader must not keep the library from asking for a vote.
    if (ended === "b" && monotonicClock() - begin < REST) this.#rest(address);
  }
}
