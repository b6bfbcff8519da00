/**
 * The functions of the C library that knet calls itself: one table of them, and what their failures become.
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
  // int statvfs(const char *path, struct statvfs *buf)
  statvfs: { parameters: ["buffer", "buffer"], result: "i32" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // off_t lseek(int fd, off_t offset, int whence)
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  // int fchmod(int fd, mode_t mode)
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  // int flock(int fd, int operation)
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // int dup3(int oldfd, int newfd, int flags)
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int dup(int oldfd)
  dup: { parameters: ["i32"], result: "i32" },
  // int mkfifo(const char *pathname, mode_t mode)
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
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
  // ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long liovcnt, const struct iovec *remote,
  // unsigned long riovcnt, unsigned long flags)
  process_vm_readv: {
    parameters: ["i32", "buffer", "u64", "buffer", "u64", "u64"],
    result: "isize",
  },
  // pid_t getpid(void)
  getpid: { parameters: [], result: "i32" },
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "pointer" },
  // void abort(void)
  abort: { parameters: [], result: "void" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout)
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  // the same on a thread of Deno's own
  pollAside: {
    name: "poll",
    parameters: ["buffer", "u64", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockopt(int fd, int level, int optname, void *optval, socklen_t *optlen)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int optname, const void *optval, socklen_t optlen)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags)
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  // ssize_t readv(int fd, const struct iovec *iov, int iovcnt)
  // (no call here moves more than 64 KiB: the low half of the result is all of it, and no bigint)
  readv: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // ssize_t writev(int fd, const struct iovec *iov, int iovcnt)
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int sendmmsg(int fd, struct mmsghdr *msgvec, unsigned int vlen, int flags)
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int recvmmsg(int fd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout)
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int inotify_init1(int flags)
  inotify_init1: { parameters: ["i32"], result: "i32" },
  // int inotify_add_watch(int fd, const char *pathname, uint32_t mask)
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // FILE *fdopen(int fd, const char *mode)
  fdopen: { parameters: ["i32", "buffer"], result: "pointer" },
  // int setvbuf(FILE *stream, char *buf, int mode, size_t size)
  setvbuf: { parameters: ["pointer", "pointer", "i32", "usize"], result: "i32" },
  // size_t fread(void *ptr, size_t size, size_t nmemb, FILE *stream)
  fread: { parameters: ["buffer", "usize", "usize", "pointer"], result: "usize" },
  // int ferror(FILE *stream)
  ferror: { parameters: ["pointer"], result: "i32" },
  // void clearerr(FILE *stream)
  clearerr: { parameters: ["pointer"], result: "void" },
  // int fclose(FILE *stream)
  fclose: { parameters: ["pointer"], result: "i32" },
  // void *dlopen(const char *filename, int flags)
  // (in libdl.so.2 before glibc 2.34)
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  // void *dlsym(void *handle, const char *symbol)
  dlsym: { parameters: ["pointer", "buffer"], result: "pointer" },
  // char *dlerror(void)
  dlerror: { parameters: [], result: "pointer" },
  // pid_t gettid(void)
  gettid: { parameters: [], result: "i32" },
  // int malloc_trim(size_t pad)
  // (glibc alone has it)
  malloc_trim: { parameters: ["usize"], result: "i32" },
} as const;

type Symbols = typeof symbols;
type Libc = Readonly<Deno.DynamicLibrary<Symbols>["symbols"]>;

/** Whether the loader's functions are in the C library itself, as since glibc 2.34. */
function hasLoader(): boolean {
  try {
    Deno.dlopen("libc.so.6", { dlopen: symbols.dlopen }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

/** Looks a function up, and puts it in the place of the accessor that called for it. */
function lookUp<Name extends keyof Symbols>(name: Name): Libc[Name] {
  const file = name.startsWith("dl") && !hasLoader() ? "libdl.so.2" : "libc.so.6";
  const found = Deno.dlopen(file, { [name]: symbols[name] }).symbols as unknown as Libc;
  Object.defineProperty(functions, name, { value: found[name] });
  return found[name];
}

const functions = {} as Libc;
for (const name of Object.keys(symbols) as (keyof Symbols)[]) {
  Object.defineProperty(functions, name, { configurable: true, get: () => lookUp(name) });
}

/**
 * The C library's functions, for the other files of ffi/. Each is looked up at its first use: that takes 0.3 ms of processor time, and
 * no program uses them all.
 */
export function libc(): Libc {
  return functions;
}

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

/** A C string: UTF-8 with a terminating zero. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("Cannot pass text to C: it holds a NUL character");
  return encoder.encode(`${text}\0`);
}
