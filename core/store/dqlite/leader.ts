/**
 * Finds the node that leads, from what this host's node and the others say.
 *
 * @module
 */
import { after, monotonicClock, random, sleep, type Timer } from "../../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { DqliteConnection } from "./connection.ts";
import { nameOf } from "./identity.ts";
import type { ByteStream } from "./stream.ts";
import type { Member } from "./wire.ts";

/** How nodes are reached from this process. */
export interface Way {
  /** What messages call the store. */
  readonly location: string;
  /**
   * A stream to a node, its first line written. The empty address is this host's own node.
   *
   * @throws {KnetError} that is no StoreAwayError if it is of no use to try again.
   */
  dial(address: string): Promise<ByteStream>;
  /** Members that are remembered from before, for a node that knows of none. */
  remembered(): readonly Member[];
  /** The last change that this host's copy has; undefined, or absent, if that cannot be told without asking a node. */
  applied?(): bigint | undefined;
  /** What people call the host of a node; the default is its name in the address. */
  readonly hostOf?: (address: string) => string;
}

/** Milliseconds that a node has for a word: less than the deadline of a call, so that the next can be asked. */
const WORD_PATIENCE = 1500;
/** Milliseconds that it has at least, so that a look at the end of a call does not find everybody missing. */
const LEAST_PATIENCE = 500;
/** Milliseconds between looks while nobody leads. */
const LOOK = 100;

function patienceUntil(until: number): number {
  return Math.min(Math.max(until - monotonicClock(), LEAST_PATIENCE), WORD_PATIENCE);
}

/** What was found out while nobody was found to lead. */
interface Survey {
  readonly members: readonly Member[];
  /** Addresses of those that answered. */
  readonly answered: ReadonlySet<string>;
  /** Why this host's own node does not answer. */
  readonly local?: string;
}

/** A sentence about why nobody leads, and what to do. */
export function describeNoLeader(
  { members, answered, local }: Survey,
  hostOf: (address: string) => string = nameOf,
): { readonly state: string; readonly remedy: string } {
  const voters = members.filter(({ role }) => role === "voter");
  const there = voters.filter(({ address }) => answered.has(address));
  const needed = Math.floor(voters.length / 2) + 1;
  const names = (list: readonly Member[]) =>
    list.length === 0 ? "none" : list.map(({ address }) => hostOf(address)).join(", ");
  if (voters.length === 0) {
    return {
      state: `this host's replica does not answer (${local ?? "it knows of no others"})`,
      remedy: "See that knet join runs on this host",
    };
  }
  if (there.length >= needed) {
    return {
      state: `its hosts are just choosing who leads (${names(there)} answer)`,
      remedy: "Try again in a few seconds",
    };
  }
  const missing = voters.filter(({ address }) => !answered.has(address));
  return {
    state: `no majority: of the ${voters.length} hosts that vote, ${needed} are needed and ` +
      `${there.length} answer (${names(there)}; missing: ${names(missing)})`,
    remedy:
      "Bring the missing hosts back, with their data. If they are lost for good, knet store recover makes a copy that is left the store. The network goes on meanwhile",
  };
}

/** Finds whoever leads, again and again. */
export class LeaderFinder {
  readonly #way: Way;
  #last: string | undefined;

  constructor(way: Way) {
    this.#way = way;
  }

  /**
   * A connection to the node that leads, with the database not opened yet.
   *
   * @param until Of the monotonic clock.
   * @throws {StoreAwayError} if nobody is found until then.
   */
  async connect(until: number): Promise<DqliteConnection> {
    for (;;) {
      const found = await this.#look(until);
      if (found instanceof DqliteConnection) return found;
      const wait = LOOK * (0.5 + random());
      if (monotonicClock() + wait >= until) {
        const { state, remedy } = describeNoLeader(found, this.#way.hostOf);
        throw new StoreAwayError(`Cannot use the store ${this.#way.location}: ${state}`, {
          remedy,
        });
      }
      await sleep(wait);
    }
  }

  /** Asks this host's own node first the next time: whoever led does not answer. */
  forget(): void {
    this.#last = undefined;
  }

  /**
   * Hangs up when this host's own node follows another one: a host that stands still, or is cut off without a word, does not say that it
   * leads no more.
   *
   * @param connection To the node that led; it is of no use after that.
   * @param doubt Milliseconds between looks.
   */
  watch(connection: DqliteConnection, doubt: number): Disposable {
    const led = this.#last;
    let timer: Timer | undefined;
    let over = false;
    const wait = () => timer = after(doubt, () => void look(), { idle: true });
    const look = async () => {
      const leader = await this.#ownLeader(doubt);
      if (over) return;
      if (leader === undefined || leader === led) return wait();
      connection[Symbol.dispose]();
    };
    if (led !== undefined) wait();
    return {
      [Symbol.dispose]() {
        over = true;
        timer?.cancel();
      },
    };
  }

  /** Whom this host's own node follows, if it knows. */
  async #ownLeader(patience: number): Promise<string | undefined> {
    try {
      using own = await this.#begin("", monotonicClock() + patience);
      return (await own.within(patience, () => own.leader()))?.address;
    } catch {
      return undefined;
    }
  }

  async #look(until: number): Promise<DqliteConnection | Survey> {
    const answered = new Set<string>();
    const asked = new Set<string>();
    let members: readonly Member[] = this.#way.remembered();
    let local: string | undefined;
    /** Asks one node, and then the one that it says leads. */
    const ask = async (address: string): Promise<DqliteConnection | undefined> => {
      if (asked.has(address)) return undefined;
      asked.add(address);
      let next: string | undefined;
      try {
        const connection = await this.#begin(address, until);
        try {
          const [leader, known] = await connection.within(
            patienceUntil(until),
            async () => [await connection.leader(), await connection.members()] as const,
          );
          answered.add(address);
          if (known.length > 0) members = known;
          next = leader?.address;
          if (leader !== undefined && leader.address === address) {
            this.#last = address;
            return connection;
          }
          connection[Symbol.dispose]();
        } catch (error) {
          connection[Symbol.dispose]();
          throw error;
        }
      } catch (error) {
        if (error instanceof KnetError && !(error instanceof StoreAwayError)) throw error;
        if (address === "") local = messageOf(error);
        return undefined;
      }
      return next === undefined ? undefined : await ask(next);
    };
    const direct = (this.#last === undefined ? undefined : await ask(this.#last)) ?? await ask("");
    if (direct !== undefined) return direct;
    this.#last = undefined;
    const others = members.filter(({ role }) => role !== "spare").map(({ address }) => address);
    const found = (await Promise.all(others.map(ask))).filter((one) => one !== undefined);
    for (const one of found.slice(1)) one[Symbol.dispose]();
    return found[0] ?? { members, answered, ...(local !== undefined && { local }) };
  }

  async #begin(address: string, until: number): Promise<DqliteConnection> {
    const patience = patienceUntil(until);
    let late = false;
    const dialed = this.#way.dial(address);
    const stream = await Promise.race([
      dialed,
      sleep(patience).then(() => {
        late = true;
        throw new StoreAwayError(`no way to ${nameOf(address) || "the node"} in time`);
      }),
    ]).catch((error) => {
      // Whoever comes too late is sent away.
      if (late) void dialed.then((stream) => stream.close(), () => {});
      throw error;
    });
    return await DqliteConnection.begin(stream, undefined, patience);
  }
}
