/**
 * Files whose names come from somebody else: no device is opened, no pipe is waited for, and memory has an end.
 *
 * @module
 */
import { ENOENT } from "./errno.ts";
import { openFile, OwnedFd, readFd } from "./file.ts";
import { check, cString, libc, prepareErrno, SystemError } from "./libc.ts";
import { AT_EMPTY_PATH, O_NONBLOCK, O_RDONLY, O_RDWR } from "./linux/fcntl.ts";

// linux/fcntl.h
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
// linux/stat.h
const STATX_TYPE_AND_SIZE = 0x201;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Throws unless it is a plain file of no more than so many bytes; returns how many it is. */
function checkPlain(
  dirfd: number,
  path: string,
  flags: number,
  most: number,
  shown: string,
): number {
  prepareErrno();
  const buffer = new Uint8Array(256);
  const asked = libc().statx(dirfd, cString(path), flags, STATX_TYPE_AND_SIZE, buffer);
  check(asked, "look at", shown);
  const view = new DataView(buffer.buffer);
  if ((view.getUint16(28, true) & S_IFMT) !== S_IFREG) {
    throw new TypeError(`Cannot read "${shown}": it is no plain file`);
  }
  const size = view.getBigUint64(40, true);
  if (size > BigInt(most)) {
    throw new RangeError(`Cannot read "${shown}": it is larger than ${most} bytes`);
  }
  return Number(size);
}

/** Reads to the end, or up to so many bytes. */
function readText(fd: number, most: number, path: string): string {
  const bytes = new Uint8Array(most);
  let length = 0;
  for (let count = 1; count > 0 && length < most; length += count) {
    count = readFd(fd, bytes.subarray(length), path);
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/**
 * Reads a plain file.
 *
 * @param most Bytes.
 * @returns its text, or undefined if there is no such file.
 * @throws {SystemError} if it cannot be read; TypeError if it is no plain file; RangeError if it is larger.
 */
export function readPlainFile(path: string, most: number): string | undefined {
  try {
    // Before it is opened: opening alone does things to some devices.
    checkPlain(AT_FDCWD, path, 0, most, path);
    using file = new OwnedFd(openFile(path, O_RDONLY | O_NONBLOCK));
    checkPlain(file.fd, "", AT_EMPTY_PATH, most, path);
    return readText(file.fd, most, path);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

/**
 * Reads a plain file that is no symbolic link, and keeps it open: what is written to it next stands behind what was read.
 *
 * @param most Bytes.
 * @throws {SystemError} if it cannot be opened; TypeError if it is no plain file; RangeError if it is larger.
 */
export function openPlainFile(path: string, most: number): { file: OwnedFd; text: string } {
  checkPlain(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, most, path);
  using file = new OwnedFd(openFile(path, O_RDWR | O_NONBLOCK));
  const size = checkPlain(file.fd, "", AT_EMPTY_PATH, most, path);
  const text = readText(file.fd, size, path);
  return { file: new OwnedFd(file.release()), text };
}
