/**
 * Finding a container's network namespace again, by the name that the administrator gave, and telling it from another one that took
 * its place.
 *
 * The number (inode) of a namespace that is gone is given to the next one at once. So a namespace is known by its cookie, which does
 * not return before the next boot; on kernels that have none, and in records of knet 0.1, by its number together with the recorded
 * wire: if that leads there, it is the one.
 *
 * @module
 */
import { resolve } from "node:path";
import { readLink } from "../../ffi/file.ts";
import { SystemError } from "../../ffi/libc.ts";
import {
  netnsCookie,
  type NetnsHandle,
  netnsId,
  openNetns,
  ownNetns,
  withNetns,
} from "../../ffi/netns.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { KnetError } from "../base/error.ts";
import type { ContainerRecord } from "./record.ts";

/** An open namespace of a container. */
export interface ContainerNamespace extends NetnsHandle {
  /** What records know it by: `cookie:NUMBER`, or `device:inode` where the kernel has no cookies. */
  readonly id: string;
  /** `device:inode`. */
  readonly inode: string;
  /** The name under which it is recorded. */
  readonly name: string;
}

/** The name under which a namespace is recorded: a path is made absolute, the rest stays. */
export function namespaceName(netns: string): string {
  return netns.includes("/") ? resolve(netns) : netns;
}

/**
 * Opens the namespace of a container.
 *
 * @param seen `device:inode` of what a runtime sees at that path. One whose processes or mounts are not the host's may see another
 * namespace there than this process does, or the only one: then it is looked for by its number.
 * @throws {KnetError} exit code 2 if it is the host's own; 1 if there is none, 3 if it may not be opened.
 */
export function openContainer(netns: string, seen?: string): ContainerNamespace {
  const { handle, name } = openSeen(netns, seen);
  if (netnsId(handle.fd) === netnsId(ownNetns())) {
    handle[Symbol.dispose]();
    throw new KnetError(`Cannot use network namespace "${netns}": it is the host's own`, {
      exitCode: 2,
      remedy: "Name the namespace of a container, which has interfaces of its own",
    });
  }
  try {
    return Object.assign(handle, identify(handle), { name });
  } catch (error) {
    handle[Symbol.dispose]();
    if (!(error instanceof SystemError)) throw error;
    throw refusal(netns, error);
  }
}

function openSeen(
  netns: string,
  seen: string | undefined,
): { readonly handle: NetnsHandle; readonly name: string } {
  let refused: KnetError | undefined;
  try {
    const handle = openNetns(netns);
    if (seen === undefined || netnsId(handle.fd) === seen) {
      return { handle, name: namespaceName(netns) };
    }
    handle[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    refused = refusal(netns, error);
    if (seen === undefined) throw refused;
  }
  const name = processIn(seen);
  const handle = name === undefined ? undefined : tryOpen(name);
  if (name !== undefined && handle !== undefined && netnsId(handle.fd) === seen) {
    return { handle, name };
  }
  handle?.[Symbol.dispose]();
  throw new KnetError(
    `Cannot open network namespace "${netns}": the runtime sees a namespace there, and knet's agent ${
      refused === undefined ? "another one" : "sees none"
    }`,
    {
      ...(refused !== undefined && { cause: refused }),
      remedy:
        "Run the runtime in the process and mount namespaces of the host (a container: --pid=host, and /run/netns of the host shared)",
    },
  );
}

/** Path of the namespace of a process that is in the namespace `device:inode`; undefined if none is to be seen. */
function processIn(id: string): string | undefined {
  const link = `net:[${id.split(":")[1]}]`;
  for (const { name: pid } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const path = `/proc/${pid}/ns/net`;
    try {
      if (readLink(path) === link) return path;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // It ended, or is closed to us.
    }
  }
  return undefined;
}

function tryOpen(netns: string): NetnsHandle | undefined {
  try {
    return openNetns(netns);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function identify(handle: NetnsHandle): Pick<ContainerNamespace, "id" | "inode"> {
  const inode = netnsId(handle.fd);
  const cookie = netnsCookie(handle.fd);
  return { inode, id: cookie === undefined ? inode : `cookie:${cookie}` };
}

const STATES: Record<string, readonly [state: string, remedy: string]> = {
  ENOENT: [
    "it does not exist",
    "Give a name that `ip netns list` shows, the path of a namespace, or the id of a running process",
  ],
  EINVAL: ["it is not a network namespace", "Give a path such as /proc/4711/ns/net"],
  EACCES: ["permission denied", "Run knet as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE"],
  EPERM: ["permission denied", "Run knet as root, or with CAP_SYS_ADMIN and CAP_SYS_PTRACE"],
};

function refusal(netns: string, error: SystemError): KnetError {
  const known = STATES[error.code];
  const denied = error.code === "EACCES" || error.code === "EPERM";
  return new KnetError(
    `Cannot open network namespace "${netns}": ${known?.[0] ?? error.message}`,
    {
      cause: error,
      exitCode: denied ? 3 : 1,
      ...(known === undefined ? {} : { remedy: known[1] }),
    },
  );
}

/**
 * Whether a record is of this namespace.
 *
 * @param wireLeadsThere asked only where numbers are all there is to go by.
 */
export function isOf(
  record: Pick<ContainerRecord, "netnsId" | "ifname" | "hostIfname">,
  namespace: Pick<ContainerNamespace, "fd" | "id" | "inode">,
  wireLeadsThere: (record: Pick<ContainerRecord, "ifname" | "hostIfname">, fd: number) => boolean =
    leadsTo,
): boolean {
  if (record.netnsId === namespace.id && namespace.id !== namespace.inode) return true;
  return record.netnsId === namespace.inode && wireLeadsThere(record, namespace.fd);
}

/** Whether the recorded end on the host and the recorded interface in the namespace are the two ends of one veth pair. */
function leadsTo(
  { ifname, hostIfname }: Pick<ContainerRecord, "ifname" | "hostIfname">,
  fd: number,
): boolean {
  const look = (name: string) => {
    using rtnl = openRtnl();
    return getLink(rtnl, name);
  };
  const host = look(hostIfname);
  if (host?.kind !== "veth") return false;
  const inside = withNetns(fd, () => look(ifname));
  return inside?.kind === "veth" && inside.link === host.index && host.link === inside.index;
}

/**
 * Opens the namespace of a record, if its name still leads there.
 *
 * @returns undefined if there is no namespace of that name or it is another one by now.
 */
export function reopen(record: ContainerRecord): NetnsHandle | undefined {
  const handle = tryOpen(record.netns);
  if (handle === undefined) return undefined;
  try {
    if (isOf(record, { fd: handle.fd, ...identify(handle) })) return handle;
  } catch (error) {
    handle[Symbol.dispose]();
    throw error;
  }
  handle[Symbol.dispose]();
  return undefined;
}
