/**
 * Where hosts are and what they are called, by their leases: the last ones that are known.
 *
 * @module
 */
import type { Lease } from "../cluster/lease.ts";

/** The hosts of the cluster by node id. */
export class HostBook {
  #leases: () => readonly Lease[];

  /** @param leases Those that are known now; asked each time. */
  constructor(leases: () => readonly Lease[]) {
    this.#leases = leases;
  }

  /** From now on asks for leases there, where there are any. */
  follow(leases: () => readonly Lease[]): void {
    const before = this.#leases;
    this.#leases = () => {
      const now = leases();
      return now.length > 0 ? now : before();
    };
  }

  /** Underlay addresses of a host; none if it has no lease that is known. */
  addressesOf(nodeId: string): readonly string[] {
    const found = this.#leases().filter((lease) => lease.nodeId === nodeId);
    return [...new Set(found.map(({ publicIp }) => publicIp))];
  }

  /** The name of a host, or its node id if that is all that is known. */
  nameOf(nodeId: string): string {
    return this.#leases().find((lease) => lease.nodeId === nodeId)?.nodeName ?? nodeId;
  }
}
