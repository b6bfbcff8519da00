/**
 * Keeps the sets of services in knet's nftables table.
 *
 * @module
 */
import type { Nftables } from "../../ffi/libnftables.ts";
import { changeServiceSets, type ServiceSets, serviceSets } from "../firewall.ts";
import type { Family } from "../lease.ts";
import type { VirtualServer } from "./model.ts";

/** The sets of one table. */
export class MasqueradeKeeper {
  readonly #nft: Nftables | undefined;
  #sets: ServiceSets | undefined;
  /** The sets as they should be could not be had by changing elements: the table has to be written anew. */
  dirty = false;

  /** @param nft undefined leaves all writing to the caller. */
  constructor(nft: Nftables | undefined) {
    this.#nft = nft;
  }

  /** What the table has to hold; undefined while there are no services. */
  get sets(): ServiceSets | undefined {
    return this.#sets;
  }

  /** Adds what is wanted and leaves what is not wanted any more. */
  widen(servers: readonly VirtualServer[], family: Family): void {
    const after = wantedSets(servers, family);
    const before = this.#sets;
    this.#change(
      before === undefined || after === undefined ? after ?? before : new Map(
        [...after].map((
          [name, list],
        ) => [name, [...new Set([...before.get(name) ?? [], ...list])]]),
      ),
      family,
    );
  }

  /** Leaves only what is wanted. */
  narrow(servers: readonly VirtualServer[], family: Family): void {
    this.#change(wantedSets(servers, family), family);
  }

  #change(after: ServiceSets | undefined, family: Family): void {
    const before = this.#sets;
    this.#sets = after;
    if (before === undefined || after === undefined) {
      if (before !== after) this.dirty = true;
      return;
    }
    if (this.#nft === undefined) return;
    try {
      changeServiceSets(this.#nft, before, after, family);
    } catch {
      // Somebody flushed the rules. Whoever keeps the table puts it back with the elements in it.
      this.dirty = true;
    }
  }
}

function wantedSets(servers: readonly VirtualServer[], family: Family): ServiceSets | undefined {
  return servers.length === 0 ? undefined : serviceSets(servers, family);
}
