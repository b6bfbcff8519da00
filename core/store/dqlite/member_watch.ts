/**
 * Which members answer, and since when, as seen from one of them.
 *
 * @module
 */
import { monotonicClock } from "../../base/clock.ts";
import { DqliteConnection } from "./connection.ts";
import type { Way } from "./leader.ts";
import type { SeenMember } from "./roles.ts";
import type { Member } from "./wire.ts";

/** Milliseconds that a node has for a word. */
export const PATIENCE = 2000;

/** Whether a node answers. */
export async function answers(way: Way, address: string): Promise<boolean> {
  try {
    using other = await DqliteConnection.begin(await way.dial(address), undefined, PATIENCE);
    await other.within(PATIENCE, () => other.leader());
    return true;
  } catch {
    return false;
  }
}

/** Remembers who answered, and keeps the connections to them. */
export class MemberWatch {
  readonly #way: Way;
  readonly #seen = new Map<number, { readonly alive: boolean; readonly since: number }>();
  readonly #connections = new Map<string, DqliteConnection>();

  constructor(way: Way) {
    this.#way = way;
  }

  /** Whether a member answered when it was asked last. */
  isAlive(id: number): boolean {
    return this.#seen.get(id)?.alive === true;
  }

  /** Forgets all: what is not looked at all the time says nothing about since when. */
  forget(): void {
    this.#seen.clear();
    for (const address of this.#connections.keys()) this.#hangUp(address);
  }

  /** Asks all members at once. */
  async look(members: readonly Member[]): Promise<SeenMember[]> {
    const alive = await Promise.all(members.map(({ address }) => this.#answers(address)));
    const now = monotonicClock();
    for (const address of this.#connections.keys()) {
      if (!members.some((member) => member.address === address)) this.#hangUp(address);
    }
    for (const id of this.#seen.keys()) {
      if (!members.some((member) => member.id === id)) this.#seen.delete(id);
    }
    return members.map((member, n) => {
      const before = this.#seen.get(member.id);
      const seen = before?.alive === alive[n] ? before! : { alive: alive[n]!, since: now };
      this.#seen.set(member.id, seen);
      return { ...member, alive: seen.alive, since: now - seen.since };
    });
  }

  async #answers(address: string): Promise<boolean> {
    const kept = this.#connections.get(address);
    try {
      if (kept !== undefined) {
        await kept.within(PATIENCE, () => kept.leader());
        return true;
      }
    } catch {
      // It may be there again, or elsewhere.
    }
    this.#hangUp(address);
    try {
      const made = await DqliteConnection.begin(await this.#way.dial(address), undefined, PATIENCE);
      this.#connections.set(address, made);
      await made.within(PATIENCE, () => made.leader());
      return true;
    } catch {
      this.#hangUp(address);
      return false;
    }
  }

  #hangUp(address: string): void {
    this.#connections.get(address)?.[Symbol.dispose]();
    this.#connections.delete(address);
  }
}
