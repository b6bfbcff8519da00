/**
 * `detach`: takes a container off this host's subnet and frees its address.
 *
 * @module
 */
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { KnetError } from "../base/error.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";
import { forgetNeighbour } from "./forget_neighbour.ts";
import { type ContainerRecord, lockBook, readBook, writeBook } from "./addresses.ts";
import { type ContainerNamespace, isOf, namespaceName, openContainer } from "./namespace.ts";
import { movePorts } from "./publish.ts";
import { hostIfname, removeHostEnd } from "./wire.ts";

/** What `knet detach` was asked. */
export interface DetachOptions {
  /** As it was attached: a name under /run/netns, a path, or a process id. */
  readonly netns: string;
  /** The default is `eth0`. */
  readonly ifname?: string;
  readonly dataDir: string;
  /** The default is this boot's. */
  readonly bootId?: string;
  /** Not needed; accepted so that attach and detach take the same places. */
  readonly stateDir?: string;
}

/** What was detached. */
export interface DetachResult {
  readonly netns: string;
  readonly ifname: string;
  /** The address that is free now; absent if only a left-over interface was removed. */
  readonly address?: string;
}

/**
 * Detaches a container. Its namespace may be gone already.
 *
 * @throws {KnetError} exit code 2 if there is nothing to detach.
 */
export async function detach(options: DetachOptions): Promise<DetachResult> {
  const { netns, ifname = "eth0", dataDir } = options;
  const place = { dataDir, bootId: options.bootId ?? currentBootId() };
  using opened = openIfThere(netns);
  const { namespace, error } = opened;
  using _lock = await lockBook(dataDir);
  using rtnl = openRtnl();
  const book = readBook(place);
  const name = namespaceName(netns);
  const isIts = (record: ContainerRecord) => namespace !== undefined && isOf(record, namespace);
  const record = findRecord(book, ifname, name, isIts);
  if (record !== undefined) {
    removeHostEnd(rtnl, record.hostIfname);
    if (record.mac !== undefined) forgetNeighbour(rtnl, record.address);
    movePorts([record], []);
    // The book last: killed half-way, the address stays taken until the next detach.
    writeBook(place, book.filter((other) => other !== record));
    return { netns: record.netns, ifname, address: record.address };
  }
  if (namespace === undefined && !isNotThere(error)) throw error;
  // Attached, but the book was lost.
  for (const id of new Set(namespace === undefined ? [] : [namespace.id, namespace.inode])) {
    if (removeHostEnd(rtnl, hostIfname(id, ifname))) return { netns: name, ifname };
  }
  throw new KnetError(
    `Cannot detach "${netns}": knet has not attached an interface "${ifname}" to it`,
    {
      exitCode: 2,
      remedy: "Name the interface with --ifname; `knet status` shows what is attached",
    },
  );
}

/** By the namespace itself, else by its name: a namespace made anew under an old name is not the old one. */
export function findRecord(
  book: readonly ContainerRecord[],
  ifname: string,
  name: string,
  isIts: (record: ContainerRecord) => boolean,
): ContainerRecord | undefined {
  const candidates = book.filter((record) => record.ifname === ifname);
  return candidates.find(isIts) ?? candidates.find((record) => record.netns === name);
}

/** Whether a namespace is missing, rather than closed to us. */
function isNotThere(error: unknown): boolean {
  return error instanceof KnetError && error.exitCode !== 3;
}

function openIfThere(
  netns: string,
): Disposable & { readonly namespace?: ContainerNamespace; readonly error?: unknown } {
  try {
    const namespace = openContainer(netns);
    return { namespace, [Symbol.dispose]: () => namespace[Symbol.dispose]() };
  } catch (error) {
    return { error, [Symbol.dispose]: () => {} };
  }
}
