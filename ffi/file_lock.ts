/**
 * A lock that one process on this host holds at a time and that the kernel lets go when it dies,
 * however it dies.
 *
 * @module
 */
import {
  closeFile,
  errno,
  fileId,
  libc,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  openFile,
  prepareErrno,
  readSmallFile,
  SystemError,
  writeFd,
} from "./libc.ts";

/** sys/file.h */
const LOCK_EX = 2;
/** sys/file.h */
const LOCK_NB = 4;
const EAGAIN = 11;
const ENOENT = 2;
const EINTR = 4;

/** A lock on a file, held until it is disposed of. The file stays: removing it would race with the next holder. */
export class FileLock implements Disposable {
  /** The file that is locked. */
  readonly path: string;
  #fd: number | undefined;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
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
    const fd = openFile(path, O_RDWR | O_CREAT, 0o644);
    try {
      while (c.flock(fd, LOCK_EX | LOCK_NB) < 0) {
        const number = errno();
        if (number === EINTR) continue;
        if (number !== EAGAIN) throw new SystemError(number, "lock", path);
        closeFile(fd);
        return undefined;
      }
      c.ftruncate(fd, 0n);
      writeFd(fd, new TextEncoder().encode(`${c.getpid()}\n`), path);
    } catch (error) {
      closeFile(fd);
      throw error;
    }
    return new FileLock(path, fd);
  }

  /** Lets the lock go. Doing it twice does no harm. */
  [Symbol.dispose](): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    // Emptied while the lock is still held, so that nobody reads the id of a process that is done.
    libc().ftruncate(fd, 0n);
    closeFile(fd);
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
    const fd = openFile(path, O_RDONLY);
    try {
      const { major, minor, inode } = fileId(fd);
      const hex = (value: number) => value.toString(16).padStart(2, "0");
      id = `${hex(major)}:${hex(minor)}:${inode}`;
    } finally {
      closeFile(fd);
    }
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
