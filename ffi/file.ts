/**
 * Files by their descriptors, and small files under /proc and /sys.
 *
 * Deno opens files under /proc, /sys and /dev only for programs that were granted everything; knet's
 * narrow permissions leave it the C library, which asks nobody.
 *
 * @module
 */
import { EINTR, ENOENT } from "./errno.ts";
import { check, cString, errno, libc, prepareErrno, SystemError } from "./libc.ts";
import { AT_EMPTY_PATH, O_CLOEXEC, O_RDONLY, O_TRUNC, O_WRONLY } from "./linux/fcntl.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A descriptor that is closed when it is disposed of, once. */
export class OwnedFd implements Disposable {
  /** The descriptor. */
  readonly fd: number;
  #owned = true;

  /** @param fd An open descriptor, which nobody else closes. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** Gives the descriptor away: whoever gets it closes it. */
  release(): number {
    this.#owned = false;
    return this.fd;
  }

  /** Closes the descriptor. Doing it twice does no harm. */
  [Symbol.dispose](): void {
    if (this.#owned) closeFile(this.fd);
    this.#owned = false;
  }
}

/**
 * Opens a file; O_CLOEXEC is always set.
 *
 * @returns the descriptor.
 * @throws {SystemError} if it cannot be opened.
 */
export function openFile(path: string, flags: number, mode = 0): number {
  prepareErrno();
  const name = cString(path);
  const c = libc();
  for (;;) {
    const fd = c.open(name, flags | O_CLOEXEC, mode);
    if (fd >= 0) return fd;
    const number = errno();
    if (number !== EINTR) throw new SystemError(number, "open", path);
  }
}

/** Closes a descriptor. Errors are of no use to anybody here and are not reported. */
export function closeFile(fd: number): void {
  libc().close(fd);
}

/**
 * Reads from a descriptor into `target`, once.
 *
 * @returns the number of bytes, 0 at the end.
 * @throws {SystemError} if the read fails.
 */
export function readFd(fd: number, target: Uint8Array<ArrayBuffer>, path?: string): number {
  prepareErrno();
  const c = libc();
  for (;;) {
    const count = Number(c.read(fd, target, BigInt(target.length)));
    if (count >= 0) return count;
    const number = errno();
    if (number !== EINTR) throw new SystemError(number, "read", path);
  }
}

/**
 * Writes all bytes to a descriptor.
 *
 * @throws {SystemError} if a write fails.
 */
export function writeFd(fd: number, bytes: Uint8Array<ArrayBuffer>, path?: string): void {
  prepareErrno();
  const c = libc();
  let rest = bytes;
  do {
    const count = Number(c.write(fd, rest, BigInt(rest.length)));
    if (count >= 0) {
      rest = rest.subarray(count);
      continue;
    }
    const number = errno();
    if (number !== EINTR) throw new SystemError(number, "write", path);
  } while (rest.length > 0);
}

/**
 * Reads a small file, of /proc or /sys for the most part.
 *
 * @returns its text, or undefined if there is no such file.
 * @throws {SystemError} if it exists and cannot be read.
 */
export function readSmallFile(path: string): string | undefined {
  let fd: number;
  try {
    fd = openFile(path, O_RDONLY);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return undefined;
    throw error;
  }
  using _file = new OwnedFd(fd);
  // Files of /proc have no size to ask for: read until nothing comes.
  let bytes = new Uint8Array(4096);
  let length = 0;
  for (;;) {
    if (length === bytes.length) {
      const larger = new Uint8Array(bytes.length * 4);
      larger.set(bytes);
      bytes = larger;
    }
    const count = readFd(fd, bytes.subarray(length), path);
    if (count === 0) return decoder.decode(bytes.subarray(0, length));
    length += count;
  }
}

/**
 * Writes a small file of /proc or /sys that exists already, in one write as the kernel wants it.
 *
 * @throws {SystemError} if it does not exist or refuses the text.
 */
export function writeSmallFile(path: string, text: string): void {
  using file = new OwnedFd(openFile(path, O_WRONLY | O_TRUNC));
  writeFd(file.fd, encoder.encode(text), path);
}

/**
 * Where a symbolic link leads, those of /proc included.
 *
 * @returns its target, or undefined if there is no such link.
 * @throws {SystemError} if it cannot be read.
 */
export function readLink(path: string): string | undefined {
  prepareErrno();
  const target = new Uint8Array(4096);
  const name = cString(path);
  const count = Number(libc().readlink(name, target, BigInt(target.length)));
  if (count < 0) {
    const number = errno();
    if (number === ENOENT) return undefined;
    throw new SystemError(number, "read link", path);
  }
  return decoder.decode(target.subarray(0, count));
}

/** Tells one file from every other on this host. */
export interface FileId {
  /** Major number of its device. */
  readonly major: number;
  /** Minor number of its device. */
  readonly minor: number;
  readonly inode: bigint;
}

/** linux/stat.h */
const STATX_INO = 0x100;

/**
 * Which file a descriptor has open.
 *
 * statx() rather than fstat(): its struct is laid out the same on all architectures.
 *
 * @throws {SystemError} if the descriptor is not open.
 */
export function fileId(fd: number): FileId {
  prepareErrno();
  const buffer = new Uint8Array(256);
  check(libc().statx(fd, cString(""), AT_EMPTY_PATH, STATX_INO, buffer), "identify a file");
  const view = new DataView(buffer.buffer);
  return {
    inode: view.getBigUint64(32, true),
    major: view.getUint32(136, true),
    minor: view.getUint32(140, true),
  };
}
