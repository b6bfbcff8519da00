/**
 * Which store it is. A store has a random identity, and an epoch that is raised when the administrator accepts it in place of what the
 * cluster knew: after a restore, or after a fail-over that lost the last writes.
 *
 * Both are counters: a knet that does not know them leaves them alone.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import type { ServerHistory } from "./engine.ts";
import { EmptiedStoreError } from "./emptied.ts";
import { readCounters } from "./revision.ts";
import { metaTable } from "./schema.ts";
import type { Database, Transaction } from "./transaction.ts";

/** Which store it is, and how far it has come. */
export interface StoreMark {
  /** Random and positive; 0 where an older knet made the store and nobody has joined since. */
  readonly identity: number;
  /** 1 at first; each adoption raises it to its time, seconds since 1970. */
  readonly epoch: number;
  readonly revision: number;
  /** Of the server that said so; absent where there is none, or it does not tell. */
  readonly server?: ServerHistory;
}

/** Milliseconds after an adoption in which hosts announce the subnets that they hold, and nobody gets a new one. */
export const SETTLING = 5000;

/** The counters of {@linkcode StoreMark} and those beside them by name. */
export type Counters = Awaited<ReturnType<typeof readCounters>>;

/** What the counters, and the server that has them, say of the store. */
export function markOf(counter: Counters, server?: ServerHistory): StoreMark {
  return {
    identity: counter("identity"),
    epoch: counter("epoch"),
    revision: counter("revision"),
    ...(server && { server }),
  };
}

/** A new identity: 53 bits, as every engine's whole numbers hold them. */
export function newIdentity(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return (high & 0x1fffff) * 2 ** 32 + low || 1;
}

/** How people see an identity. */
export function identityText(identity: number): string {
  return identity === 0 ? "none" : identity.toString(16).padStart(14, "0");
}

/** Writes a counter, new or old. */
export async function setCounter(db: Database, name: string, value: number): Promise<void> {
  await db.insert(metaTable).values({ name, value })
    .onConflictDoUpdate({ target: metaTable.name, set: { value } });
}

/** Gives the store an identity, within a write, if it has none; the counters as they are then. */
export async function ensureIdentity({ db }: Pick<Transaction, "db">): Promise<Counters> {
  const counter = await readCounters(db);
  if (counter("schema") === 0) throw new EmptiedStoreError();
  if (counter("identity") !== 0) return counter;
  await db.insert(metaTable).values([
    { name: "identity", value: newIdentity() },
    { name: "epoch", value: 1 },
  ]).onConflictDoNothing();
  return await readCounters(db);
}

/**
 * How long it is until everybody had the time to announce what it holds, milliseconds; 0 if nobody has to be waited for.
 *
 * @param now Store's clock, milliseconds since the epoch.
 */
export function settlingFor(counter: Counters, now: number): number {
  const left = counter("settles") - now;
  // The clock of a SQLite file is each host's own.
  return left > 0 && left <= SETTLING ? left : 0;
}

/** The store was adopted just now: who asks waits a moment, and tries again. */
export class SettlingStoreError extends KnetError {
  override readonly name = "SettlingStoreError";
}

/**
 * Refuses what takes something of a host that has not announced yet what it holds.
 *
 * @param action `Cannot lease a subnet`.
 * @param now Store's clock, milliseconds since the epoch.
 * @throws {SettlingStoreError} while they announce it.
 */
export function refuseUnsettled(action: string, counter: Counters, now: number): void {
  const settling = settlingFor(counter, now);
  if (settling === 0) return;
  const seconds = Math.ceil(settling / 1000);
  throw new SettlingStoreError(
    `${action}: the store was adopted, and hosts have ${seconds} s more to announce what they hold`,
    { exitCode: 4, remedy: "Try it again when they have" },
  );
}

/** What the administrator can do about a store that is another one. */
export const DIFFERENT_REMEDY =
  "Bring back the store that this cluster had; or accept this one with knet store adopt, on one host that has joined. A host that joined only since: knet leave, then knet join";

/** It is not the store that this host knows: nothing is written to it, and nothing that it says is believed. Exit code 4. */
export class DifferentStoreError extends KnetError {
  override readonly name = "DifferentStoreError";

  /** @param what In what it differs: `its revision went back from 7 to 5`. */
  constructor(location: string, readonly what: string) {
    super(`Cannot go on with the store ${location}: ${what}`, {
      exitCode: 4,
      remedy: DIFFERENT_REMEDY,
    });
  }
}

/** Whether a server takes writes on a history that ended where another server was promoted. */
export function wasReplaced(
  known: ServerHistory | undefined,
  found: ServerHistory | undefined,
): boolean {
  return known !== undefined && found?.system === known.system && found.timeline < known.timeline;
}

/** Why a store is not the one that was expected by its mark; undefined if it may be. */
export function whyOther(known: StoreMark, found: StoreMark): string | undefined {
  if (known.identity !== 0 && found.identity !== known.identity) {
    if (found.identity !== 0) {
      return `it is another one (${identityText(found.identity)}, this host knows ${
        identityText(known.identity)
      })`;
    }
    return found.revision === 0
      ? "it is empty, and this host knows a cluster"
      : "it has lost its identity";
  }
  if (found.epoch < known.epoch) {
    return `it is an older one (epoch ${found.epoch}, this host knows ${known.epoch})`;
  }
  if (found.epoch === known.epoch && found.revision < known.revision) {
    return `its revision went back from ${known.revision} to ${found.revision}`;
  }
  // Nobody has accepted it since: it is a former primary that takes writes again.
  if (found.epoch === known.epoch && wasReplaced(known.server, found.server)) {
    return `its server was replaced by another primary (timeline ${
      found.server!.timeline
    }, this host knows ${known.server!.timeline}), and must not go on`;
  }
  return undefined;
}

/**
 * Refuses to write to a store that is not the one that was expected, or of whose new epoch the writer does not know yet.
 *
 * @param location URL without its password, for messages.
 * @throws {DifferentStoreError} if it is another one; SettlingStoreError if it was adopted.
 */
export function refuseOther(expected: StoreMark, found: StoreMark, location: string): void {
  const what = whyOther(expected, found);
  if (what !== undefined) throw new DifferentStoreError(location, what);
  // Whoever announces nothing first must not write.
  if (found.epoch > expected.epoch && expected.identity !== 0) {
    throw new SettlingStoreError(`Cannot write to the store ${location}: it was adopted`);
  }
}
