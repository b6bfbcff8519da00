/**
 * The two ends of the way, and the leases that say whose they are.
 *
 * @module
 */
import { canonicalAddress, prefixContains } from "../../base/address.ts";
import { readSnapshot } from "../../store/snapshot.ts";
import type { ContainerRecord } from "../../container/addresses.ts";
import { namespaceName } from "../../container/namespace.ts";
import { KnetError, messageOf } from "../../base/error.ts";
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
  /** Why it may be old. */
  readonly note: string | undefined;
}

/**
 * Leases and services by the store, or as this host remembers them: a store in trouble is no reason not to look at the
 * kernel.
 */
export async function findLeases(
  options: { readonly storeUrl: string; readonly dataDir: string; readonly stateDir: string },
  state: NodeState,
): Promise<Known> {
  try {
    await using store = await openStore(options.storeUrl, {
      existing: true,
      stateDir: options.stateDir,
    });
    const { leases, now } = await store.listLeases();
    const { services } = await store.listServices();
    return { leases, services, now, note: undefined };
  } catch (error) {
    const snapshot = readSnapshot(options.dataDir, state.nodeId, () => {});
    if (snapshot === undefined) throw error;
    return {
      leases: [snapshot.own, ...snapshot.peers],
      services: snapshot.services ?? [],
      now: undefined,
      note: `The store does not answer, this is what this host remembers: ${messageOf(error)}`,
    };
  }
}

/** A container of this host, by the name of its namespace or its address. */
export function containerOf(
  book: readonly ContainerRecord[],
  word: string,
): ContainerRecord | undefined {
  const name = namespaceName(word);
  const address = safeAddress(word);
  return book.find((record) => record.netns === name) ??
    book.find((record) => record.address === address);
}

function safeAddress(word: string): string | undefined {
  try {
    return canonicalAddress(word);
  } catch {
    return undefined;
  }
}

/**
 * The address that a word stands for.
 *
 * @throws {KnetError} exit code 2 if it is none.
 */
export function addressOf(word: string): string {
  const address = safeAddress(word);
  if (address !== undefined) return address;
  throw new KnetError(
    `Cannot trace to "${word}": it is no container of this host, and no address`,
    {
      exitCode: 2,
      remedy: "Give an address for a container of another host; knet status shows this host's",
    },
  );
}

/** Why a packet cannot be followed from there. */
export function notHere(word: string, state: NodeState, leases: readonly Lease[]): KnetError {
  const address = safeAddress(word);
  const holder = address === undefined
    ? undefined
    : leases.find((lease) => prefixContains(lease.subnet, address));
  if (holder !== undefined && holder.nodeId !== state.nodeId) {
    return new KnetError(
      `Cannot trace from ${address}: it belongs to "${holder.nodeName}" (${holder.publicIp})`,
      { exitCode: 2, remedy: `Run knet trace on that host: a packet is followed where it starts` },
    );
  }
  return new KnetError(`Cannot trace from "${word}": it is no container of this host`, {
    exitCode: 2,
    remedy: "Give the name or address of a container that knet status shows",
  });
}
