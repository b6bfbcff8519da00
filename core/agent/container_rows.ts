/**
 * Tells the store of this host's containers: level-triggered, from the book, in batches. Attaching waits for none of it, and while the
 * store is away nothing is missed: what counts is how the book is when it is back.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { canonicalAddress, familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import { monotonicClock, random, sleep } from "../base/clock.ts";
import { messageOf, StoreAwayError } from "../base/error.ts";
import {
  type ClusterContainer,
  fittingContainer,
  MOST_CONTAINERS_A_HOST,
} from "../cluster/cluster_container.ts";
import type { Lease } from "../cluster/lease.ts";
import type { NodeIdentity } from "../cluster/node_identity.ts";
import { type BookPlace, bookVersion, readBook } from "../container/addresses.ts";
import type { DockerNames } from "../container/docker/names.ts";
import { heldVersion, readHeld } from "../container/held.ts";
import { toldContainers } from "../container/told.ts";
import type { ContainerChange, ContainerList } from "../store/container_rows.ts";
import type { Store } from "../store/store.ts";
import { backoff } from "./wake.ts";

const log = getLogger(["knet", "containers"]);

/** Milliseconds between two looks at the book. */
const LOOK = 1000;
/** Milliseconds after something was told: what comes and goes within is one batch, or none. */
const BATCH = 3000;
/** Milliseconds after which the store's rows are read and compared, whatever is known of them. */
const COMPARE = 5 * 60_000;
/** Containers, and bytes of them, in one change: others wait for the store meanwhile, and a host's requests may be no longer than 64 KiB. */
const [MOST_AT_ONCE, MOST_BYTES] = [200, 48 * 1024];
/** Longest pause after a failure, milliseconds. */
const PATIENCE = 30_000;

/** What the store has room for of what is told: of this host's subnet, so many, each so long. Pure. */
export function keptContainers(
  told: readonly ClusterContainer[],
  subnet: string,
): ClusterContainer[] {
  const { family } = parsePrefix(subnet);
  // Those of a subnet that this host had before are stranded: nobody reaches them.
  return told
    .filter(({ address }) => familyOf(address) === family && prefixContains(subnet, address))
    .slice(0, MOST_CONTAINERS_A_HOST)
    .map((one) => fittingContainer({ ...one, address: canonicalAddress(one.address) }));
}

/** Compares what is to be told with what the store has. Pure. */
export function planRows(
  wanted: readonly ClusterContainer[],
  { containers, leftOut }: Pick<ContainerList, "leftOut"> & {
    readonly containers: readonly ClusterContainer[];
  },
): Pick<ContainerChange, "put" | "remove"> {
  const before = new Map(containers.map((one) => [one.key, textOf(one)]));
  const now = new Set(wanted.map(({ key }) => key));
  return {
    put: wanted.filter((one) => before.get(one.key) !== textOf(one)),
    remove: [...before.keys(), ...leftOut].filter((key) => !now.has(key)),
  };
}

/** One text for one container, in whatever order its parts stand. */
function textOf(one: ClusterContainer): string {
  const labels = Object.entries(one.labels).sort(([a], [b]) => a < b ? -1 : 1);
  const ports = one.ports.map(({ hostIp = "", hostPort, protocol, containerPort }) =>
    `${hostIp} ${hostPort} ${protocol} ${containerPort}`
  );
  const { key, name, address, ifname, netns, runtime, containerId } = one;
  return JSON.stringify([key, name, address, ifname, netns, runtime, containerId, labels, ports]);
}

/** Changes that fit a request each; those that went come first, they make room. */
export function* partsOf(
  { put, remove }: Pick<ContainerChange, "put" | "remove">,
): Generator<Pick<ContainerChange, "put" | "remove">> {
  for (let at = 0; at < remove.length; at += MOST_AT_ONCE) {
    yield { put: [], remove: remove.slice(at, at + MOST_AT_ONCE) };
  }
  let part: ClusterContainer[] = [];
  let room = MOST_BYTES;
  for (const one of put) {
    const { length } = new TextEncoder().encode(JSON.stringify(one));
    if (part.length > 0 && (length > room || part.length === MOST_AT_ONCE)) {
      yield { put: part, remove: [] };
      part = [];
      room = MOST_BYTES;
    }
    part.push(one);
    room -= length;
  }
  if (part.length > 0) yield { put: part, remove: [] };
}

/** What the store is told by. */
export interface ContainerRowsOptions {
  readonly store: Pick<Store, "listContainers" | "putContainers">;
  readonly identity: Pick<NodeIdentity, "nodeId" | "agentId">;
  readonly place: BookPlace;
  /** What Docker calls its containers. */
  readonly docker: Pick<DockerNames, "look" | "named" | "version">;
  /** The lease that this host holds by the word of a store that is the right one. */
  readonly holds: () => Pick<Lease, "subnet" | "acquired"> | undefined;
}

/** Keeps the store's rows of this host like the book. */
export class ContainerRows {
  readonly #options: ContainerRowsOptions;
  /** What the store has, as far as it is known. */
  #present: Parameters<typeof planRows>[1] | undefined;
  #read = -Infinity;
  #lease = "";
  #version = "";
  #problem = "";

  constructor(options: ContainerRowsOptions) {
    this.#options = options;
  }

  /** Runs until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      let pause: number;
      try {
        pause = await this.tell() ? BATCH : LOOK;
        failures = 0;
        this.#problem = "";
      } catch (error) {
        if (signal.aborted) return;
        this.#note(error);
        pause = Math.max(LOOK, backoff(failures++, PATIENCE));
      }
      // Hosts that began at once must not come in step.
      await sleep(pause * (0.8 + 0.4 * random()), signal);
    }
  }

  #note(error: unknown): void {
    const problem = messageOf(error);
    if (problem === this.#problem) return;
    this.#problem = problem;
    // That a store is away is told of elsewhere.
    const level = error instanceof StoreAwayError ? "debug" : "warn";
    log[level]("Cannot keep this host's containers in the store: {problem}", { problem });
  }

  /**
   * Looks once, and tells what has changed.
   *
   * @returns Whether there was anything to tell.
   * @throws {StoreAwayError} and what else a store throws.
   */
  async tell(): Promise<boolean> {
    const { store, identity, place, docker, holds } = this.#options;
    const { nodeId, agentId } = identity;
    const held = holds();
    if (held === undefined) return false;
    const { subnet, acquired } = held;
    const lease = `${subnet} ${acquired}`;
    // What comes of it is told the next time.
    void docker.look();
    const { dataDir } = place;
    const version = `${bookVersion(dataDir)} ${heldVersion(dataDir)} ${docker.version}`;
    // Released and taken again, the rows went with it.
    const isKnown = this.#lease === lease && monotonicClock() - this.#read < COMPARE;
    let present = isKnown ? this.#present : undefined;
    if (present !== undefined && version === this.#version) return false;
    const told = toldContainers(nodeId, readBook(place), readHeld(place), docker.named);
    const wanted = keptContainers(told, subnet);
    // Until all is told, nothing is known.
    this.#present = undefined;
    if (present === undefined) {
      present = await store.listContainers({ nodeId });
      this.#read = monotonicClock();
    }
    const plan = planRows(wanted, present);
    for (const part of partsOf(plan)) await store.putContainers({ nodeId, agentId, ...part });
    this.#present = { containers: wanted, leftOut: [] };
    this.#lease = lease;
    this.#version = version;
    return plan.put.length + plan.remove.length > 0;
  }
}
