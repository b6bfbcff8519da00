/**
 * Finding a container's network namespace again, by the name that the administrator gave.
 *
 * @module
 */
import { resolve } from "node:path";
import { SystemError } from "../../ffi/libc.ts";
import { type NetnsHandle, netnsId, openNetns, ownNetns } from "../../ffi/netns.ts";
import { KnetError } from "../base/error.ts";
import type { ContainerRecord } from "./addresses.ts";

/** The name under which a namespace is recorded: a path is made absolute, the rest stays. */
export function namespaceName(netns: string): string {
  return netns.includes("/") ? resolve(netns) : netns;
}

/**
 * Opens the namespace of a container.
 *
 * @throws {KnetError} exit code 2 if it is the host's own; 1 if there is none or it may not be opened.
 */
export function openContainer(netns: string): NetnsHandle & { readonly id: string } {
  let handle: NetnsHandle;
  try {
    handle = openNetns(netns);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw refusal(netns, error);
  }
  const id = netnsId(handle.fd);
  if (id === netnsId(ownNetns())) {
    handle[Symbol.dispose]();
    throw new KnetError(`Cannot use network namespace "${netns}": it is the host's own`, {
      exitCode: 2,
      remedy: "Name the namespace of a container, which has interfaces of its own",
    });
  }
  return Object.assign(handle, { id });
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
 * Opens the namespace of a record, if its name still leads there.
 *
 * @returns undefined if there is no namespace of that name or it is another one by now.
 */
export function reopen(record: ContainerRecord): NetnsHandle | undefined {
  let handle: NetnsHandle;
  try {
    handle = openNetns(record.netns);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  if (netnsId(handle.fd) === record.netnsId) return handle;
  handle[Symbol.dispose]();
  return undefined;
}
