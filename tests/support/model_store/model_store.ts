/**
 * A model of the store: the same decisions over values in memory, without a database. It passes the contract of the engines, containers apart, and is
 * much quicker, so that simulations get through what would take a real store the day.
 *
 * @module
 */
import {
  canonicalAddress,
  formatPrefix,
  parsePrefix,
  prefixContains,
} from "../../../core/base/address.ts";
import { after, wallClock } from "../../../core/base/clock.ts";
import { KnetError } from "../../../core/base/error.ts";
import { isUntaken } from "../../../core/cluster/allocate.ts";
import { type ClusterConfig, differences } from "../../../core/cluster/config.ts";
import { NO_TIMEOUTS } from "../../../core/services/service.ts";
import { needsConfig } from "../../../core/store/cluster_config.ts";
import { UnusableConfigError } from "../../../core/store/config_row.ts";
import type { Engine } from "../../../core/store/engine.ts";
import { EmptiedStoreError } from "../../../core/store/emptied.ts";
import {
  markOf,
  refuseOther,
  refuseUnsettled,
  type StoreMark,
} from "../../../core/store/identity.ts";
import { decidePruning, decideReservation, releasable } from "../../../core/store/lease_admin.ts";
import type { Store } from "../../../core/store/store.ts";
import type { Adopted, KnownStore } from "../../../core/store/adoption.ts";
import { adoptIn } from "./adoption.ts";
import { changesIn } from "./changes.ts";
import { acquire, announce, renew } from "./holding.ts";
import { editIn, sweepIn, whyNoHostIn } from "./services.ts";
import { ModelTables } from "./tables.ts";

/** Where the states of a model are kept. */
export class ModelDatabase {
  #tables = new ModelTables();
  #opened = true;
  readonly #listeners = new Set<() => void>();

  /** The state now. Whoever keeps it has a copy: it is replaced, never changed. */
  get tables(): ModelTables {
    return this.#tables;
  }

  /** Puts another state in the place of this one, as whoever restores a file: what is open is opened anew, and nobody is told. */
  replace(tables: ModelTables): void {
    this.#tables = tables;
    this.#opened = false;
  }

  /** Does something to the state by hand, and nobody is told. */
  meddle(work: (tables: ModelTables) => void): void {
    const draft = new ModelTables(this.#tables);
    work(draft);
    this.#tables = draft;
  }

  /** Looks at the state. */
  read<T>(work: (tables: ModelTables, now: number) => T): T {
    this.#open();
    return work(this.#tables, wallClock());
  }

  /** Changes the state, or leaves it as it was if `work` throws. */
  write<T>(work: (tables: ModelTables, now: number) => T): T {
    this.#open();
    const draft = new ModelTables(this.#tables);
    const result = work(draft, wallClock());
    this.#tables = draft;
    return result;
  }

  /** Changes it on the administrator's word, whatever somebody has emptied. */
  adopt(known: KnownStore | undefined): Adopted {
    this.#opened = true;
    return this.write((tables, now) => adoptIn(tables, known, now));
  }

  /** Calls whoever subscribed. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** A store that is opened has counters, or somebody has emptied it. */
  #open(): void {
    if (!this.#opened && this.#tables.isEmptied) throw new EmptiedStoreError("model");
    this.#opened = true;
  }
}

/** How calls get to a database: simulations put failures in between. */
export interface ModelWay {
  read<T>(work: (tables: ModelTables, now: number) => T): Promise<T>;
  write<T>(work: (tables: ModelTables, now: number) => T): Promise<T>;
  subscribe: Engine["subscribe"];
}

/** The plain way: all are told of a write a moment later. */
export function plainWay(database: ModelDatabase): ModelWay {
  return {
    read: async (work) => await database.read(work),
    write: async (work) => {
      const result = await database.write(work);
      after(0, () => database.tell());
      return result;
    },
    subscribe(onChange, onState) {
      onState("notify", "told by the model");
      return database.subscribe(onChange);
    },
  };
}

/** The configuration; one that is gone while hosts hold leases is a problem. */
function configOf(tables: ModelTables, lastGood?: ClusterConfig): ClusterConfig | undefined {
  if (tables.config !== undefined) return tables.config.value;
  if (tables.living().every(({ agentId }) => agentId === "")) return undefined;
  if (lastGood !== undefined) return lastGood;
  const state = "there is none, though hosts hold leases";
  throw new UnusableConfigError({ what: "cluster configuration", state });
}

function initConfig(tables: ModelTables, config: ClusterConfig, replace: boolean): ClusterConfig {
  const present = configOf(tables);
  if (present !== undefined) {
    const found = differences(present, config);
    if (found.length === 0) return present;
    const isHeld = tables.living().some((lease) => !isUntaken(lease));
    if (!replace || isHeld) {
      throw new KnetError(`Cannot set up the cluster: in the store, ${found.join("; ")}`, {
        exitCode: 4,
      });
    }
    const inside = tables.livingServices().filter(({ vip }) => prefixContains(config.network, vip));
    if (inside.length > 0) {
      const { name, vip } = inside[0]!;
      throw new KnetError(
        `Cannot set up the cluster with network ${config.network}: the virtual IP ${vip} of service "${name}" is in it, and ${
          inside.length - 1
        } more are`,
        { exitCode: 4 },
      );
    }
  }
  tables.identify();
  tables.config = { value: config, revision: tables.raise() };
  return config;
}

/** The store over a model. */
export function modelStore(way: ModelWay): Store {
  let expected: StoreMark | undefined;
  const write = <T>(work: (tables: ModelTables, now: number) => T) =>
    way.write((tables, now) => {
      if (expected !== undefined) refuseOther(expected, markOf(tables.counter), "model");
      return work(tables, now);
    });
  const administer = <T>(action: string, work: (tables: ModelTables, now: number) => T) =>
    write((tables, now) => {
      refuseUnsettled(action, tables.counter, now);
      return work(tables, now);
    });
  return {
    // Nobody tells of what is done to it by hand, as Postgres does not.
    engine: "postgres",
    location: "model",
    getConfig: () => way.read((tables) => configOf(tables)),
    initConfig: (config, { replace = false } = {}) =>
      write((tables, now) => {
        if (replace) refuseUnsettled("Cannot set up the cluster", tables.counter, now);
        return initConfig(tables, config, replace);
      }),
    listLeases: () =>
      way.read((tables, now) => ({
        ...{ leases: tables.living(), revision: tables.counter("revision"), now, problems: [] },
      })),
    acquireLease: (request) =>
      write((tables, now) =>
        acquire(tables, needsConfig(configOf(tables, request.lastGood)), request, now)
      ),
    renewLease: (holder) =>
      write((tables, now) =>
        renew(tables, needsConfig(configOf(tables, holder.lastGood)), holder, now)
      ),
    releaseLease: (selector, options = {}) =>
      write((tables, now) => {
        if (options.agentId === undefined) {
          refuseUnsettled(`Cannot release "${selector}"`, tables.counter, now);
        }
        const lease = releasable(tables.living(), selector, now, options);
        tables.bury(lease, tables.raise(), now);
        return lease;
      }),
    reserveLease: (subnet, publicIp, { force = false } = {}) =>
      administer(`Cannot reserve ${subnet}`, (tables, now) => {
        const config = needsConfig(configOf(tables));
        const address = canonicalAddress(publicIp);
        const standing = { config, leases: tables.living(), unreadable: [], now };
        const made = decideReservation(standing, {
          ...{ subnet: formatPrefix(parsePrefix(subnet)), publicIp: address, force },
          whyNoHost: whyNoHostIn(tables, address),
        });
        const lease = { ...made, revision: tables.raise() };
        tables.put(lease);
        return lease;
      }),
    pruneLeases: (nodeIds) =>
      administer("Cannot prune leases", (tables, now) => {
        const standing = { config: configOf(tables), leases: tables.living(), now };
        const gone = decidePruning(standing, nodeIds, false);
        if (gone.length === 0) return gone;
        const revision = tables.raise();
        for (const lease of gone) tables.bury(lease, revision, now);
        return gone;
      }),
    // No simulation speaks of containers, which change nothing of what hosts agree upon.
    listContainers: () => way.read(() => ({ containers: [], problems: [], leftOut: [] })),
    putContainers: () => Promise.reject(new Error("The model of the store keeps no containers")),
    changesSince: (since, compare = "revision", lastGood) =>
      way.read((tables, now) => {
        configOf(tables, lastGood);
        return changesIn(tables, since, compare, now);
      }),
    announceLease: (own, lastGood) =>
      write((tables, now) => announce(tables, needsConfig(configOf(tables, lastGood)), own, now)),
    expect(mark) {
      expected = mark;
    },
    listServices: () =>
      way.read((tables, now) => ({
        services: tables.livingServices(),
        timeouts: tables.timeouts?.value ?? NO_TIMEOUTS,
        revision: tables.counter("revision"),
        ...{ now, problems: [] },
      })),
    getService: (name) =>
      way.read((tables, now) => ({
        service: tables.livingServices().find((one) => one.name === name),
        now,
      })),
    editServices: (scope, edit) =>
      write((tables, now) => editIn(tables, configOf(tables), scope, edit, now)),
    sweepDrained: () => write(sweepIn),
    subscribe: (onChange, onState = () => {}) => way.subscribe(onChange, onState),
    reset() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
