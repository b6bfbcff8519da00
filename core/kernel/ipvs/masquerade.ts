/**
 * Keeps the sets of services in knet's nftables table.
 *
 * @module
 */
import type { Nftables } from "../../../ffi/libnftables.ts";
import {
  changeServiceSets,
  type Endpoint,
  isOpenSet,
  type ServiceSets,
  serviceSets,
  withoutEndpoints,
} from "../firewall/firewall.ts";
import type { Family } from "../../cluster/lease.ts";
import type { VirtualServer } from "../../services/service.ts";

/** The sets of one table. */
export class MasqueradeKeeper {
  readonly #nft: Nftables | undefined;
  #sets: ServiceSets | undefined;
  #wanted: ServiceSets | undefined;
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

  /**
   * Adds what is wanted and leaves what is not wanted any more, until {@linkcode narrow}. With what virtual IPs answer it is the other
   * way round: where no virtual server is, not yet or not any more, the host itself would.
   *
   * @param others What answers at virtual IPs beside.
   * @param peers Public addresses of the other hosts.
   * @param former Virtual IPs that were, and connections to which are to end.
   */
  widen(
    servers: readonly VirtualServer[],
    family: Family,
    others: Iterable<Endpoint> = [],
    peers: Iterable<string> = [],
    former: readonly string[] = [],
  ): void {
    const none = servers.length === 0 && former.length === 0;
    const after = none ? undefined : serviceSets(servers, family, others, peers, former);
    const before = this.#sets;
    this.#wanted = after;
    if (before === undefined || after === undefined) this.#change(after ?? before, family);
    else if (sameSets(before, after)) this.#wanted = before;
    else {
      const both = [...after].map(([name, list]) => {
        const old = new Set(before.get(name));
        const kept = isOpenSet(name)
          ? list.filter((one) => old.has(one))
          : [...old.union(new Set(list))];
        return [name, kept] as const;
      });
      this.#change(new Map(both), family);
    }
  }

  /**
   * Leaves only what {@linkcode widen} was told.
   *
   * @param closed Where the kernel has no virtual server, although it was told to.
   */
  narrow(family: Family, closed: readonly Endpoint[] = []): void {
    this.#wanted = this.#wanted && withoutEndpoints(this.#wanted, closed);
    if (this.#wanted !== this.#sets) this.#change(this.#wanted, family);
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

function sameSets(a: ServiceSets, b: ServiceSets): boolean {
  for (const [name, list] of b) {
    const other = a.get(name);
    if (other?.length !== list.length) return false;
    if (!list.every((element, index) => element === other[index])) return false;
  }
  return true;
}
