/**
 * The store over any engine. Every change is one transaction over the revision's row, so that the order of revisions is the order
 * of commits.
 *
 * @module
 */
import { StoreAwayError } from "../base/error.ts";
import { loggingBegun } from "../base/late_logging.ts";
import { changesSince } from "./changes.ts";
import { initConfig, needConfig } from "./cluster_config.ts";
import { readConfig } from "./config_row.ts";
import type { Engine } from "./engine.ts";
import { DifferentStoreError, markOf, type StoreMark, whyOther } from "./identity.ts";
import { announceLease } from "./lease_announcing.ts";
import { acquireLease, renewLease } from "./lease_holding.ts";
import { storeHosts } from "./location.ts";
import { liveLeases, pruneLeases, releaseLease, reserveLease } from "./leases.ts";
import { readCounters, readRevision } from "./revision.ts";
import { describeProblem, type RowProblem } from "./row_check.ts";
import { editServices, getService, listServices, sweepDrained } from "./services.ts";
import type { Store } from "./store.ts";
import { readFrom, type Transaction, writeTo } from "./transaction.ts";

async function log(sentence: string): Promise<void> {
  await loggingBegun();
  const { getLogger } = await import("@logtape/logtape");
  getLogger(["knet", "store"]).warn("{sentence}", { sentence });
}

/**
 * The store over an engine.
 *
 * @param warn Told once of each row that makes no sense; the default is the log.
 */
export function sqlStore(
  engine: Engine,
  warn: (sentence: string) => void | Promise<void> = log,
): Store {
  const read = <T>(work: (tx: Transaction) => Promise<T>) => readFrom(engine, work);
  let expected: StoreMark | undefined;
  const write = <T>(work: (tx: Transaction) => Promise<T>) =>
    writeTo(engine, async (tx) => {
      if (expected === undefined) return await work(tx);
      const found = markOf(await readCounters(tx.db));
      const what = whyOther(expected, found);
      if (what !== undefined) throw new DifferentStoreError(engine.location, what);
      // Whoever announces nothing first must not write.
      if (found.epoch > expected.epoch && expected.identity !== 0) {
        throw new StoreAwayError(`Cannot write to the store ${engine.location}: it was adopted`);
      }
      return await work(tx);
    });
  const known = new Set<string>();
  const told = async <T extends { readonly problems: readonly RowProblem[] }>(
    reading: Promise<T>,
  ) => {
    const result = await reading;
    for (const sentence of result.problems.map(describeProblem)) {
      if (known.has(sentence)) continue;
      known.add(sentence);
      await warn(sentence);
    }
    return result;
  };
  const { hostClock } = engine;

  return {
    engine: engine.engine,
    location: engine.location,

    getConfig: () => read(readConfig),
    initConfig: (config, options) => write((tx) => initConfig(tx, config, options)),

    listLeases: () =>
      told(read(async (tx) => {
        const { leases, problems } = await liveLeases(tx);
        return { leases, revision: await readRevision(tx), now: tx.now, problems };
      })),
    acquireLease: (request) =>
      write(async (tx) => await acquireLease(tx, await needConfig(tx), request, hostClock)),
    renewLease: (holder) => write(async (tx) => await renewLease(tx, await needConfig(tx), holder)),
    releaseLease: (selector, options) => write((tx) => releaseLease(tx, selector, options)),
    reserveLease: (subnet, publicIp) =>
      write(async (tx) => await reserveLease(tx, await needConfig(tx), subnet, publicIp)),
    pruneLeases: (nodeIds) =>
      write(async (tx) => await pruneLeases(tx, await readConfig(tx), nodeIds, hostClock)),

    changesSince: (since, compare) => told(read((tx) => changesSince(tx, since, compare))),
    announceLease: (own) => write(async (tx) => await announceLease(tx, await needConfig(tx), own)),
    expect(mark) {
      expected = mark;
    },

    listServices: () => told(read(listServices)),
    getService: (name) => told(read((tx) => getService(tx, name))),
    editServices: (scope, edit) =>
      told(write(async (tx) => {
        const places = storeHosts(engine.location);
        return await editServices(tx, await readConfig(tx), scope, edit, places);
      })),
    sweepDrained: () => write(sweepDrained),

    subscribe: (onChange, onState = () => {}) => engine.subscribe(onChange, onState),
    reset: () => engine.reset(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
