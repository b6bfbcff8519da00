/**
 * The two ends of the way, and the leases that say whose they are.
 *
 * @module
 */
import { canonicalAddress, prefixContains } from "../../base/address.ts";
import { readSnapshot } from "../../store/snapshot.ts";
import type { ContainerRecord } from "../../container/addresses.ts";
import { namespaceName } from "../../container/namespace.ts";
import { toldContainers } from "../../container/told.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import {
  containersCalled,
  containerTitle,
  type StoredContainer,
  theContainer,
} from "../../cluster/cluster_container.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import type { Service } from "../../services/service.ts";
import { openStore } from "../../store/open.ts";

/** What the store holds. */
export interface Known {
  readonly leases: readonly Lease[];
  readonly services: readonly Service[];
  /** The store's clock, which leases go by; undefined where it does not answer, and renewals are not known. */
  readonly now: number | undefined;
  /** Containers of the whole cluster, if they were asked for; none where the store does not tell. */
  readonly containers: readonly StoredContainer[];
  /** Why it may be old. */
  readonly note: string | undefined;
}

/**
 * Leases, services and containers by the store, or as this host remembers them: a store in trouble is no reason not to look at the
 * kernel.
 */
export async function findLeases(
  options: { readonly storeUrl: string; readonly dataDir: string; readonly stateDir: string },
  state: NodeState,
  withContainers: boolean,
): Promise<Known> {
  try {
    await using store = await openStore(options.storeUrl, {
      existing: true,
      stateDir: options.stateDir,
    });
    const { leases, now } = await store.listLeases();
    const { services } = await store.listServices();
    const { containers } = withContainers ? await store.listContainers() : { containers: [] };
    return { leases, services, containers, now, note: undefined };
  } catch (error) {
    const snapshot = readSnapshot(options.dataDir, state.nodeId, () => {});
    if (snapshot === undefined) throw error;
    return {
      leases: [snapshot.own, ...snapshot.peers],
      services: snapshot.services ?? [],
      containers: [],
      now: undefined,
      note: `The store does not answer, this is what this host remembers: ${messageOf(error)}`,
    };
  }
}

/** Whether what a word stands for can only be found by names. */
export function isName(book: readonly ContainerRecord[], word: string): boolean {
  return safeAddress(word) === undefined && byNamespace(book, word) === undefined;
}

function byNamespace(book: readonly ContainerRecord[], word: string): ContainerRecord | undefined {
  const name = namespaceName(word);
  return book.find((record) => record.netns === name);
}

/**
 * A container of this host, by its namespace, its address or its name.
 *
 * @throws {KnetError} exit code 4 if several of this host may be meant.
 */
export function containerOf(
  book: readonly ContainerRecord[],
  word: string,
  state: NodeState,
): ContainerRecord | undefined {
  const address = safeAddress(word);
  const found = byNamespace(book, word) ?? book.find((record) => record.address === address);
  if (found !== undefined || address !== undefined) return found;
  const own = ownContainers(book, state);
  if (containersCalled(own, word).length === 0) return undefined;
  const { key } = theContainer(`Cannot trace from "${word}"`, own, word);
  return book.find(({ hostIfname }) => hostIfname === key);
}

function ownContainers(
  book: readonly ContainerRecord[],
  { nodeId, nodeName }: NodeState,
): StoredContainer[] {
  return toldContainers(nodeId, book).map((one) => ({ ...one, nodeName }));
}

/** Containers of the cluster: of this host by its book, of others, and of Docker's, by the store. */
function allContainers(
  book: readonly ContainerRecord[],
  { containers }: Known,
  state: NodeState,
): StoredContainer[] {
  const others = containers.filter(({ nodeId, ifname }) =>
    nodeId !== state.nodeId || ifname === ""
  );
  return [...ownContainers(book, state), ...others];
}

function safeAddress(word: string): string | undefined {
  try {
    return canonicalAddress(word);
  } catch {
    return undefined;
  }
}

/** Where a packet goes. */
export interface Destination {
  readonly address: string;
  /** The container, if it is one of this host that knet attached. */
  readonly record?: ContainerRecord;
  /** What it is called, if it was found by that. */
  readonly name?: string;
}

/**
 * What a word stands for: a namespace of this host, an address, else the name of a container of any host.
 *
 * @throws {KnetError} exit code 2 if it is none of these, 4 if containers of several names may be meant.
 */
export function destinationOf(
  book: readonly ContainerRecord[],
  word: string,
  known: Known,
  state: NodeState,
): Destination {
  const record = byNamespace(book, word);
  if (record !== undefined) return { address: record.address, record };
  const address = safeAddress(word);
  if (address !== undefined) return at(book, address);
  const all = allContainers(book, known, state);
  if (containersCalled(all, word).length > 0) {
    const one = theContainer(`Cannot trace to "${word}"`, all, word);
    return { ...at(book, one.address), name: containerTitle(one) };
  }
  const { note } = known;
  throw new KnetError(
    `Cannot trace to "${word}": it is no container of this host, and no address${
      note === undefined ? ", nor is it the name of another host's container" : ""
    }`,
    {
      exitCode: 2,
      remedy: note === undefined
        ? "Give a name of knet container ls, or an address"
        : "Give an address, as other hosts' containers are not known now: the store does not answer",
    },
  );
}

function at(book: readonly ContainerRecord[], address: string): Destination {
  const record = book.find((one) => one.address === address);
  return { address, ...(record !== undefined && { record }) };
}

/**
 * Why a packet cannot be followed from there.
 *
 * @throws {KnetError} exit code 4 if containers of several names may be meant.
 */
export function notHere(
  book: readonly ContainerRecord[],
  word: string,
  known: Known,
  state: NodeState,
): KnetError {
  const all = allContainers(book, known, state);
  const address = safeAddress(word) ??
    (containersCalled(all, word).length === 0
      ? undefined
      : theContainer(`Cannot trace from "${word}"`, all, word).address);
  const holder = address === undefined
    ? undefined
    : known.leases.find((lease) => prefixContains(lease.subnet, address));
  if (holder !== undefined && holder.nodeId !== state.nodeId) {
    return new KnetError(
      `Cannot trace from ${
        address === word ? word : `"${word}" (${address})`
      }: it belongs to "${holder.nodeName}" (${holder.publicIp})`,
      { exitCode: 2, remedy: `Run knet trace on that host: a packet is followed where it starts` },
    );
  }
  const which = holder === undefined ? "" : " that knet attached";
  return new KnetError(`Cannot trace from "${word}": it is no container of this host${which}`, {
    exitCode: 2,
    remedy: "Give the name or address of a container that knet status shows",
  });
}
