/**
 * The peers' public addresses: whom the firewall lets in. Kept up to date at the cost of what changes, since
 * a cluster has thousands of peers and one of them changes at a time.
 *
 * @module
 */
import { isUntaken } from "../cluster/allocate.ts";
import type { Lease } from "../cluster/lease.ts";
import { peerKey } from "../overlay/overlay.ts";

/** Addresses that come and go. */
export interface AddressDelta {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** A set of addresses, of which several peers may have the same, behind one NAT for example. */
export class PeerAddresses {
  readonly #byPeer = new Map<string, string>();
  readonly #peers = new Map<string, number>();

  /** All of them, each once. */
  get all(): string[] {
    return [...this.#peers.keys()];
  }

  /** As {@linkcode all}. */
  [Symbol.iterator](): IterableIterator<string> {
    return this.#peers.keys();
  }

  /** Whether one of the peers has it. */
  has(address: string): boolean {
    return this.#peers.has(address);
  }

  /** Replaces all peers. */
  set(leases: readonly Lease[]): void {
    this.#byPeer.clear();
    this.#peers.clear();
    for (const lease of leases) this.#add(lease);
  }

  /**
   * Applies changes of some peers.
   *
   * @param removed Keys of `peerKey`.
   * @returns what that makes of the set.
   */
  change(changed: readonly Lease[], removed: readonly string[]): AddressDelta {
    const before = new Map<string, boolean>();
    const touch = (address: string | undefined) => {
      if (address !== undefined && !before.has(address)) {
        before.set(address, this.#peers.has(address));
      }
    };
    const keys = [...removed, ...changed.map(peerKey)];
    for (const key of keys) touch(this.#byPeer.get(key));
    for (const lease of changed) touch(lease.publicIp);
    for (const key of keys) this.#drop(key);
    for (const lease of changed) this.#add(lease);
    const add: string[] = [];
    const remove: string[] = [];
    for (const [address, was] of before) {
      const is = this.#peers.has(address);
      if (is && !was) add.push(address);
      else if (was && !is) remove.push(address);
    }
    return { add, remove };
  }

  #add(lease: Lease): void {
    if (isUntaken(lease)) return;
    this.#byPeer.set(peerKey(lease), lease.publicIp);
    this.#peers.set(lease.publicIp, (this.#peers.get(lease.publicIp) ?? 0) + 1);
  }

  #drop(key: string): void {
    const address = this.#byPeer.get(key);
    if (address === undefined) return;
    this.#byPeer.delete(key);
    const left = this.#peers.get(address)! - 1;
    if (left === 0) this.#peers.delete(address);
    else this.#peers.set(address, left);
  }
}
