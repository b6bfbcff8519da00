/**
 * Generic netlink (linux/genetlink.h): families found by name, and the header that all their messages share.
 *
 * @module
 */
import { cString } from "../libc.ts";
import { libnl, libnlError } from "../libnl.ts";
import { libnlGenl } from "../libnl_genl.ts";
import type { Batch } from "../netlink/batch.ts";
import { setPatience } from "../netlink/socket_options.ts";

/** Bytes of struct genlmsghdr. */
export const GENL_HDRLEN = 4;

const NLE_OBJ_NOTFOUND = 12; // netlink/errno.h
/** Seconds. */
const RESOLVE_PATIENCE = 30;

/** The kernel has no generic netlink family of that name, and no module that brings it. */
export class MissingFamilyError extends Error {
  /** The class's name. */
  override readonly name = "MissingFamilyError";
  /** The family's name. */
  readonly family: string;

  /**
   * Says which family is missing.
   *
   * @param family Its name.
   */
  constructor(family: string) {
    super(`Cannot use the generic netlink family "${family}": the kernel has none of that name`);
    this.family = family;
  }
}

/**
 * Finds the number of a family. Asking makes the kernel load the module that brings it, if it has one.
 *
 * @returns the family's message type, the same until the module is unloaded.
 * @throws {MissingFamilyError} if there is none.
 * @throws {MissingLibraryError} without libnl.
 */
export function resolveFamily(name: string): number {
  const nl = libnl();
  const genl = libnlGenl();
  const socket = nl.nl_socket_alloc();
  if (socket === null) throw new Error("Cannot open a netlink socket: out of memory");
  try {
    const status = genl.genl_connect(socket);
    if (status < 0) throw new Error(`Cannot open a netlink socket: ${libnlError(status)}`);
    // A module that is loaded meanwhile takes its time, but nobody waits for ever.
    setPatience(nl.nl_socket_get_fd(socket), RESOLVE_PATIENCE);
    const family = genl.genl_ctrl_resolve(socket, cString(name));
    if (family === -NLE_OBJ_NOTFOUND) throw new MissingFamilyError(name);
    if (family < 0) {
      throw new Error(`Cannot find the generic netlink family "${name}": ${libnlError(family)}`);
    }
    return family;
  } finally {
    nl.nl_socket_free(socket);
  }
}

/** Writes a struct genlmsghdr behind the header that `batch.begin` wrote. */
export function genlHeader(batch: Batch, command: number, version: number): void {
  batch.u8(command);
  batch.u8(version);
  batch.u16(0);
}
