/**
 * Giving back what runtimes' containers have: one interface of one container, or all that a runtime does not know any more. None of
 * it needs a namespace: the wire's end on the host takes the other one with it.
 *
 * @module
 */
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";
import { forgetNeighbour } from "./forget_neighbour.ts";
import { lockBook, readBook, readFormer, writeBook } from "./addresses.ts";
import { movePorts } from "./publish.ts";
import { type ContainerRecord, isRuntimes, type RuntimeIdentity } from "./record.ts";
import { removeHostEnd } from "./wire.ts";

/** Where the book is. */
export interface ReleasePlace {
  readonly dataDir: string;
  /** The default is this boot's. */
  readonly bootId?: string;
}

/**
 * Gives back one interface of a runtime's container, and its claim to a former address.
 *
 * @returns its record; undefined if it had none.
 */
export async function release(
  options: ReleasePlace,
  identity: RuntimeIdentity,
  ifname: string,
): Promise<ContainerRecord | undefined> {
  const [record] = await releaseWhere(options, (one) => isRuntimes(one, identity, ifname));
  return record;
}

/**
 * Gives back all interfaces of a runtime's network but those that the runtime knows.
 *
 * @returns the records of those that are gone.
 */
export async function releaseUnknown(
  options: ReleasePlace,
  { runtime, network }: Pick<RuntimeIdentity, "runtime" | "network">,
  isKnown: (containerId: string, ifname: string) => boolean,
): Promise<ContainerRecord[]> {
  return await releaseWhere(
    options,
    (one) =>
      one.runtime === runtime && one.network === network &&
      !isKnown(one.containerId ?? "", one.ifname),
  );
}

/** Takes all containers off this host's subnet, and forgets who was there before. */
export async function detachAll(dataDir: string): Promise<void> {
  await releaseWhere({ dataDir }, () => true);
}

async function releaseWhere(
  { dataDir, bootId }: ReleasePlace,
  isGone: (one: Partial<RuntimeIdentity> & { readonly ifname: string }) => boolean,
): Promise<ContainerRecord[]> {
  const place = { dataDir, bootId: bootId ?? currentBootId() };
  using _lock = await lockBook(dataDir);
  const book = readBook(place);
  const gone = book.filter(isGone);
  if (gone.length > 0) {
    using rtnl = openRtnl();
    for (const { hostIfname, address, mac } of gone) {
      removeHostEnd(rtnl, hostIfname);
      if (mac !== undefined) forgetNeighbour(rtnl, address);
    }
    movePorts(gone, []);
  }
  const isFormer = readFormer(place).some(isGone);
  // The book last: killed half-way, the address stays taken until it is asked for again.
  if (gone.length > 0 || isFormer) {
    writeBook(place, book.filter((one) => !gone.includes(one)), isGone);
  }
  return gone;
}
