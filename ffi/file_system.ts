/**
 * What the kernel says of a whole file system.
 *
 * @module
 */
import { check, cString, libc, prepareErrno } from "./libc.ts";

/** sizeof(struct statvfs) (bits/statvfs.h) where words have 64 bits. */
const STATVFS = 112;
/** ST_RDONLY (bits/statvfs.h) */
const ST_RDONLY = 1n;

/** How much fits in. */
export interface Room {
  /** Bytes that root may still write; others may have less. */
  readonly bytes: number;
  readonly readOnly: boolean;
}

/**
 * How much room there is on the file system of a path.
 *
 * @throws {SystemError} if there is no such path.
 */
export function roomAt(path: string): Room {
  const words = new BigUint64Array(STATVFS / 8);
  prepareErrno();
  check(libc().statvfs(cString(path), words), "look at the file system of", path);
  // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail, f_fsid, f_flag
  const [, fragment, , free, , , , , , flags] = words;
  return { bytes: Number(fragment! * free!), readOnly: (flags! & ST_RDONLY) !== 0n };
}
