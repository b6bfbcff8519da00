/**
 * A lock that one process on this host holds at a time and that the kernel lets go when it dies,
 * however it dies.
 *
 * @module
 */
import { EAGAIN, EINTR, ENOENT } from "./errno.ts";
import { fileId, openFile, OwnedFd, readSmallFile, writeFd } from "./file.ts";
import { errno, libc, prepareErrno, SystemError } from "./libc.ts";
import { O_CREAT, O_RDONLY, O_RDWR } from "./linux/fcntl.ts";

/** sys/file.h */
const LOCK_EX = 2;
/** sys/file.h */
const LOCK_NB = 4;

/** A lock on a file, held until it is disposed of. The file stays: removing it would race with the next holder. */
export class FileLock implements Disposable {
  /** The file that is locked. */
  readonly path: string;
  #file: OwnedFd | undefined;

  private constructor(path: string, file: OwnedFd) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Takes the lock without waiting, and writes the process id into the file.
   *
   * @returns the lock, or undefined if somebody else holds it.
   * @throws {SystemError} if the file cannot be opened or written.
   */
  static acquire(path: string): FileLock | undefined {
    prepareErrno();
    const c = libc();
    using file = new OwnedFd(openFile(path, O_RDWR | O_CREAT, 0o600));
    const { fd } = file;
    // Whoever can read a file can hold its lock. An older knet made it readable to all; another owner's is left as it is.
    c.fchmod(fd, 0o600);
    while (c.flock(fd, LOCK_EX | LOCK_NB) < 0) {
      const number = errno();
      if (number === EINTR) continue;
      if (number !== EAGAIN) throw new SystemError(number, "lock", path);
      return undefined;
    }
    c.ftruncate(fd, 0n);
    writeFd(fd, new TextEncoder().encode(`${c.getpid()}\n`), path);
    return new FileLock(path, new OwnedFd(file.release()));
  }

  /** Lets the lock go. Doing it twice does no harm. */
  [Symbol.dispose](): void {
    using file = this.#file;
    this.#file = undefined;
    // Emptied while the lock is still held, so that nobody reads the id of a process that is done.
    if (file !== undefined) libc().ftruncate(file.fd, 0n);
  }
}

/**
 * Who holds the lock on a file.
 *
 * Looks it up in /proc/locks: trying to take the lock would make a holder that comes at this very
 * moment fail.
 *
 * @returns the process id as the holder sees it, or undefined if nobody holds the lock.
 * @throws {SystemError} if the file exists and cannot be read.
 */
export function holder(path: string): number | undefined {
  let id: string;
  try {
    using file = new OwnedFd(openFile(path, O_RDONLY));
    const { major, minor, inode } = fileId(file.fd);
    const hex = (value: number) => value.toString(16).padStart(2, "0");
    id = `${hex(major)}:${hex(minor)}:${inode}`;
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return undefined;
    throw error;
  }
  for (const line of (readSmallFile("/proc/locks") ?? "").split("\n")) {
    // "1: FLOCK  ADVISORY  WRITE 2714 00:19:1054 0 EOF"
    const [, kind, , , pid, file] = line.trim().split(/\s+/);
    if (kind !== "FLOCK" || file !== id) continue;
    const written = Number.parseInt(readSmallFile(path) ?? "", 10);
    return written > 0 ? written : Number(pid);
  }
  return undefined;
}
