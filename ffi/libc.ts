/**
 * The few functions of the C library that knet calls itself, and small files under /proc and /sys.
 *
 * Deno opens files under /proc, /sys and /dev only for programs that were granted everything; knet's
 * narrow permissions leave it the C library, which asks nobody.
 *
 * The library is opened at the first call, never at import.
 *
 * @module
 */
import { errnoName, errnoText } from "./errno.ts";

const symbols = {
  // int open(const char *pathname, int flags, mode_t mode)
  // (variadic in C; on the 64-bit targets the third argument travels in the same register either way)
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  // int flock(int fd, int operation)
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // int dup(int oldfd)
  dup: { parameters: ["i32"], result: "i32" },
  // int unlink(const char *pathname)
  unlink: { parameters: ["buffer"], result: "i32" },
  // ssize_t readlink(const char *pathname, char *buf, size_t bufsiz)
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  // int eventfd(unsigned int initval, int flags)
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // int setns(int fd, int nstype)
  setns: { parameters: ["i32", "i32"], result: "i32" },
  // int unshare(int flags)
  unshare: { parameters: ["i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, unsigned long argument)
  ioctl: { parameters: ["i32", "u64", "u64"], result: "i32" },
  // int statx(int dirfd, const char *pathname, int flags, unsigned int mask, struct statx *statxbuf)
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t tolen)
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  // int memfd_create(const char *name, unsigned int flags)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  // pid_t getpid(void)
  getpid: { parameters: [], result: "i32" },
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
  // void abort(void)
  abort: { parameters: [], result: "void" },
} as const;

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

let opened: Libc | undefined;

/** The C library's functions, for the other files of ffi/. */
export function libc(): Libc {
  opened ??= Deno.dlopen("libc.so.6", symbols).symbols;
  return opened;
}

/** Constants of fcntl.h and sys/file.h, as they are on x86-64, arm64 and riscv64. */
export const O_RDONLY = 0;
/** fcntl.h */
export const O_WRONLY = 1;
/** fcntl.h */
export const O_RDWR = 2;
/** fcntl.h */
export const O_CREAT = 0o100;
/** fcntl.h */
export const O_TRUNC = 0o1000;
/** fcntl.h; arm64 and riscv64 have the same value. */
export const O_CLOEXEC = 0o2000000;
/** fcntl.h */
export const O_NONBLOCK = 0o4000;

/** What an operating system call answered with when it failed. */
export class SystemError extends Error {
  /** Always "SystemError". */
  override readonly name = "SystemError";
  /** The positive errno (errno.h). */
  readonly errno: number;
  /** The errno's name, `ENOENT`. */
  readonly code: string;
  /** What was being done, `open`. */
  readonly operation: string;
  /** The file concerned, if there is one. */
  readonly path: string | undefined;

  /**
   * An error made of an errno.
   *
   * @param errno The positive errno (errno.h).
   * @param operation What was being done, `open`.
   * @param path The file concerned.
   */
  constructor(errno: number, operation: string, path?: string) {
    const code = errnoName(errno);
    const what = path === undefined ? operation : `${operation} "${path}"`;
    super(`Cannot ${what}: ${code} (${errnoText(errno)})`);
    this.errno = errno;
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}

let errnoView: Deno.UnsafePointerView | undefined;

/**
 * The calling thread's errno. Call it in the statement after the one that failed: anything in between
 * may run the garbage collector, whose own system calls write errno too.
 *
 * The location is fixed for a thread, and each thread of Deno has modules of its own, so it is asked
 * for once; asking between the failing call and the reading would be one more chance to lose it.
 */
export function errno(): number {
  if (errnoView === undefined) prepareErrno();
  return errnoView!.getInt32();
}

/** Looks errno's location up, so that a later {@linkcode errno} does nothing but read it. */
export function prepareErrno(): void {
  const location = libc().__errno_location();
  if (location === null) throw new TypeError("Cannot read errno: it has no location");
  errnoView ??= new Deno.UnsafePointerView(location);
}

/**
 * Passes the result of a system call through.
 *
 * @throws {SystemError} if the call returned a negative number.
 */
export function check(result: number, operation: string, path?: string): number {
  if (result < 0) throw new SystemError(errno(), operation, path);
  return result;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A C string: UTF-8 with a terminating zero. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("Cannot pass text to C: it holds a NUL character");
  return encoder.encode(`${text}\0`);
}

const EINTR = 4;
const ENOENT = 2;

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
  try {
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
  } finally {
    closeFile(fd);
  }
}

/**
 * Writes a small file of /proc or /sys that exists already, in one write as the kernel wants it.
 *
 * @throws {SystemError} if it does not exist or refuses the text.
 */
export function writeSmallFile(path: string, text: string): void {
  const fd = openFile(path, O_WRONLY | O_TRUNC);
  try {
    writeFd(fd, encoder.encode(text), path);
  } finally {
    closeFile(fd);
  }
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

/** linux/fcntl.h */
const AT_EMPTY_PATH = 0x1000;
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
