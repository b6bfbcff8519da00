/**
 * The store over any engine. Every change is one transaction over the revision's row, so that the order of revisions is the order
 * of commits.
 *
 * @module
 */
import { changesSince } from "./changes.ts";
import { initConfig, needConfig } from "./cluster_config.ts";
import { knownConfig, readConfig } from "./config_row.ts";
import { listContainers, putContainers } from "./container_rows.ts";
import type { Engine } from "./engine.ts";
import { markOf, refuseOther, refuseUnsettled, type StoreMark } from "./identity.ts";
import { announceLease } from "./lease_announcing.ts";
import { acquireLease, renewLease } from "./lease_holding.ts";
import { storeHosts } from "./location.ts";
import { pruneLeases, releaseLease, reserveLease } from "./lease_admin.ts";
import { liveLeases } from "./leases.ts";
import { logProblem, problemTeller } from "./problem_log.ts";
import { readCounters, readRevision } from "./revision.ts";
import { editServices, getService, listServices, sweepDrained } from "./services.ts";
import type { Store } from "./store.ts";
import { readFrom, type Transaction, writeTo } from "./transaction.ts";

/**
 * The store over an engine.
 *
 * @param warn Told once of each row that makes no sense; the default is the log.
 * @param mayWrite Asked at the beginning of each write, in its transaction; throws if it is not wanted any more.
 */
export function sqlStore(
  engine: Engine,
  warn: (sentence: string) => void | Promise<void> = logProblem,
  mayWrite: () => void = () => {},
): Store {
  const told = problemTeller(warn);
  const read = <T>(work: (tx: Transaction) => Promise<T>) => readFrom(engine, work);
  let expected: StoreMark | undefined;
  const write = <T>(work: (tx: Transaction) => Promise<T>) =>
    writeTo(engine, async (tx) => {
      mayWrite();
      if (expected === undefined) return await work(tx);
      refuseOther(expected, markOf(await readCounters(tx.db), tx.server), engine.location);
      return await work(tx);
    });
  /** What is not a host's own: not before hosts have announced what they hold. */
  const administer = <T>(action: string, work: (tx: Transaction) => Promise<T>) =>
    write(async (tx) => {
      refuseUnsettled(action, await readCounters(tx.db), tx.now);
      return await work(tx);
    });
  const { hostClock } = engine;

  return {
    engine: engine.engine,
    location: engine.location,

    getConfig: () => read((tx) => readConfig(tx)),
    initConfig: (config, options) => {
      const work = (tx: Transaction) => initConfig(tx, config, options);
      return options?.replace ? administer("Cannot set up the cluster", work) : write(work);
    },
    listLeases: () =>
      told(read(async (tx) => {
        const { config, problems: wrong } = await knownConfig(tx);
        const { leases, problems } = await liveLeases(tx, config);
        const revision = await readRevision(tx);
        return { leases, revision, now: tx.now, problems: [...wrong, ...problems] };
      })),
    acquireLease: (request) =>
      write(async (tx) =>
        await acquireLease(tx, await needConfig(tx, request.lastGood), request, hostClock)
      ),
    renewLease: (holder) =>
      write(async (tx) => await renewLease(tx, await needConfig(tx, holder.lastGood), holder)),
    releaseLease: (selector, options) => {
      const work = async (tx: Transaction) =>
        await releaseLease(tx, (await knownConfig(tx)).config, selector, options);
      return options?.agentId === undefined
        ? administer(`Cannot release "${selector}"`, work)
        : write(work);
    },
    reserveLease: (subnet, publicIp, options) =>
      administer(
        `Cannot reserve ${subnet}`,
        async (tx) => await reserveLease(tx, await needConfig(tx), subnet, publicIp, options),
      ),
    pruneLeases: (nodeIds) =>
      administer(
        "Cannot prune leases",
        async (tx) => await pruneLeases(tx, await readConfig(tx), nodeIds, hostClock),
      ),
    listContainers: (selector) =>
      told(read(async (tx) => {
        const { leases } = await liveLeases(tx, (await knownConfig(tx)).config);
        return await listContainers(tx, leases, selector);
      })),
    putContainers: (change) => write((tx) => putContainers(tx, change)),
    changesSince: (since, compare, lastGood) =>
      told(read((tx) => changesSince(tx, since, compare, lastGood))),
    announceLease: (own, lastGood) =>
      write(async (tx) => await announceLease(tx, await needConfig(tx, lastGood), own)),
    expect(mark) {
      expected = mark;
    },
    listServices: () =>
      told(read(async (tx) => {
        const { config, problems: wrong } = await knownConfig(tx);
        const listed = await listServices(tx, config);
        return { ...listed, problems: [...wrong, ...listed.problems] };
      })),
    getService: (name) =>
      told(read(async (tx) => await getService(tx, (await knownConfig(tx)).config, name))),
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
