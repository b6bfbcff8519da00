/**
 * The last good view of the store, kept in the data directory: an agent that starts while the store is away programs the kernel
 * from it, so that a reboot with the database down still gives a network.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { after, monotonicClock, type Timer } from "../base/clock.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { messageOf } from "../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import type { Lease } from "../cluster/lease.ts";
import { CONFIG_SHAPE, LEASE_SHAPE } from "../cluster/cluster_shapes.ts";
import type { Service, ServiceTimeouts } from "../services/service.ts";
import { SERVICE_SHAPE, TIMEOUTS_SHAPE } from "../services/service_shapes.ts";
import type { RememberedStore } from "./store_memory.ts";

/** What is kept. */
export interface Snapshot {
  readonly version: 1;
  readonly config: ClusterConfig;
  /** This host's lease. */
  readonly own: Lease;
  readonly peers: readonly Lease[];
  /** Absent in one that an older knet wrote. */
  readonly services?: readonly Service[];
  readonly timeouts?: ServiceTimeouts;
  /** Addresses that this host had on its underlay, the dearest first. Absent in one that an older knet wrote. */
  readonly underlay?: readonly UnderlayAddress[];
  /** Which store it was; absent in one that an older knet wrote. */
  readonly store?: RememberedStore;
}

/** An address that a host had on its underlay. */
export interface UnderlayAddress {
  readonly address: string;
  /** Name of the interface. */
  readonly name: string;
  readonly prefixLength: number;
}

const whole = v.pipe(v.number(), v.safeInteger());

const REMEMBERED: v.GenericSchema<unknown, RememberedStore> = v.object({
  ...{ identity: whole, epoch: whole, revision: whole },
  rows: v.record(v.string(), v.number()),
  server: v.exactOptional(v.object({ system: v.string(), timeline: whole })),
});

/** The shape of {@linkcode Snapshot}. */
export const SNAPSHOT_SHAPE: v.GenericSchema<unknown, Snapshot> = v.looseObject(
  {
    version: v.literal(1, ({ received }) => `unknown version ${received}`),
    config: CONFIG_SHAPE,
    own: LEASE_SHAPE,
    peers: v.array(LEASE_SHAPE, "it has no peers"),
    services: v.exactOptional(v.array(SERVICE_SHAPE)),
    timeouts: v.exactOptional(TIMEOUTS_SHAPE),
    store: v.exactOptional(REMEMBERED),
    underlay: v.exactOptional(
      v.array(v.looseObject({ address: v.string(), name: v.string(), prefixLength: v.number() })),
    ),
  },
  ({ expected, message }) => expected === '"config"' ? "it has no configuration" : message,
);

const pathIn = (dataDir: string) => join(dataDir, "snapshot.json");

/**
 * Reads the snapshot; undefined if there is none or it makes no sense.
 *
 * @param nodeId Whose it has to be; undefined: anybody's.
 */
export function readSnapshot(
  dataDir: string,
  nodeId: string | undefined,
  warn: (sentence: string) => void,
): Snapshot | undefined {
  try {
    const text = readTextIfPresent(pathIn(dataDir));
    if (text === undefined) return undefined;
    const snapshot = parseShape(SNAPSHOT_SHAPE, text);
    if (nodeId !== undefined && snapshot.own.nodeId !== nodeId) {
      throw new TypeError("it is another node's");
    }
    return snapshot;
  } catch (error) {
    warn(`Cannot use "${pathIn(dataDir)}": ${messageOf(error)}`);
    return undefined;
  }
}

/** Keeps a snapshot. */
export function writeSnapshot(dataDir: string, snapshot: Snapshot): void {
  writeFileAtomically(pathIn(dataDir), JSON.stringify(snapshot), 0o600, 0o700);
}

/** Forgets it, after `knet leave`. */
export function removeSnapshot(dataDir: string): void {
  removeIfPresent(pathIn(dataDir));
}

/** Least time between two writes, milliseconds. */
const PAUSE = 500;
/** So many times as long as a write took, the next one waits: a large cluster's is megabytes. */
const SHARE = 20;

/**
 * Writes snapshots as changes come: the first of a burst at once, the rest together, half a second later or,
 * in a large cluster, a little more.
 */
export class SnapshotKeeper implements Disposable {
  readonly #dataDir: string;
  readonly #make: () => Snapshot | undefined;
  readonly #warn: (sentence: string) => void;
  #next = -Infinity;
  #timer: Timer | undefined;

  /**
   * @param make What to keep; undefined while there is nothing worth it.
   * @param warn Told when a snapshot cannot be written.
   */
  constructor(
    dataDir: string,
    make: () => Snapshot | undefined,
    warn: (sentence: string) => void,
  ) {
    this.#dataDir = dataDir;
    this.#make = make;
    this.#warn = warn;
  }

  /** Something changed. */
  touch(): void {
    if (this.#timer !== undefined) return;
    const wait = this.#next - monotonicClock();
    if (wait <= 0) this.write();
    else this.#timer = after(wait, () => this.write());
  }

  /** Writes now. */
  write(): void {
    this[Symbol.dispose]();
    const start = monotonicClock();
    try {
      const snapshot = this.#make();
      if (snapshot === undefined) return;
      writeSnapshot(this.#dataDir, snapshot);
    } catch (error) {
      this.#warn(messageOf(error));
    }
    const end = monotonicClock();
    this.#next = end + Math.max(PAUSE, (end - start) * SHARE);
  }

  /** Forgets a write that is due. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
