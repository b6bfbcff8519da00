/**
 * Which address a container gets, by all who may have one: knet's containers, others on the bridge, and those that were there before
 * the reboot.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import { type AddressPool, chooseAddress } from "./addresses.ts";
import { findForeign } from "./foreign_addresses.ts";
import type { HeldAddress } from "./held.ts";
import type { ContainerRecord, FormerAddress } from "./record.ts";
import { isVanished } from "./vanished.ts";
import { linksByName, type WireEnds } from "./wire.ts";

/** Where the address is to be. */
export interface AddressPlace extends Pick<WireEnds, "rtnl" | "state" | "bridge"> {
  /** What runtimes hold without knet's having attached anything. */
  readonly held: readonly HeldAddress[];
}

/** What is known of the address that it should be. */
export interface AddressWish {
  /** This one or none. */
  readonly wanted: string | undefined;
  /** This one, if it is free. */
  readonly preferred: string | undefined;
  /** Addresses that containers may come back for: only given where there is no other. */
  readonly former: readonly FormerAddress[];
}

/**
 * Chooses an address; if none is free, those of vanished containers are.
 *
 * @param book the other containers.
 * @returns the address, and those of the book that go on having theirs.
 * @throws {KnetError} as chooseAddress().
 */
export function findAddress(
  { rtnl, state, bridge, held }: AddressPlace,
  book: readonly ContainerRecord[],
  name: string,
  { wanted, preferred, former }: AddressWish,
): { address: string; rest: readonly ContainerRecord[] } {
  const place = { ifindex: bridge.index, bridge: bridge.name, subnet: state.subnet };
  const own = [...book, ...held];
  const { held: foreign, doubtful } = findForeign(rtnl, place, own);
  const pool = {
    subnet: state.subnet,
    gateway: state.gateway,
    foreign,
    avoid: new Set([...doubtful, ...former.map(({ address }) => address)]),
  };
  const choose = (records: readonly ContainerRecord[]) => {
    const taken = [...records, ...held].map((record) => record.address);
    const free = preferred !== undefined && isFree({ ...pool, taken }, preferred);
    return chooseAddress({ ...pool, taken }, name, wanted ?? (free ? preferred : undefined));
  };
  try {
    return { address: choose(book), rest: book };
  } catch (error) {
    const links = linksByName(rtnl);
    const rest = book.filter((record) => !isVanished(record, links));
    if (!(error instanceof KnetError) || rest.length === book.length) throw error;
    return { address: choose(rest), rest };
  }
}

function isFree(pool: AddressPool, address: string): boolean {
  try {
    return chooseAddress(pool, "", address) === address;
  } catch (error) {
    if (error instanceof KnetError) return false;
    throw error;
  }
}
