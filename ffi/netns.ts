/**
 * Network namespaces: opening, entering, telling apart.
 *
 * A namespace belongs to a thread. Deno runs JavaScript on one thread and asynchronous file calls on
 * others, so everything done inside {@linkcode withNetns} must be synchronous: an asynchronous read of
 * /proc/sys would silently show the host's values.
 *
 * @module
 */
import { EINVAL, ENOENT } from "./errno.ts";
import { fileId, openFile, OwnedFd } from "./file.ts";
import { check, errno, libc, prepareErrno, SystemError } from "./libc.ts";
import { O_NONBLOCK, O_RDONLY } from "./linux/fcntl.ts";
import { AF_UNIX, SO_NETNS_COOKIE, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from "./linux/socket.ts";

/** linux/sched.h */
const CLONE_NEWNET = 0x40000000;
/** linux/nsfs.h, _IO(0xb7, 0x3) */
const NS_GET_NSTYPE = 0xb703n;

/** An open network namespace. It lives at least as long as the descriptor. */
export interface NetnsHandle extends Disposable {
  /** Its descriptor. */
  readonly fd: number;
  /** The file it was opened from. */
  readonly path: string;
}

/**
 * Opens a network namespace.
 *
 * @param namespace a name under /run/netns (as `ip netns add` makes them), a path (anything with a
 * slash), or the id of a process; a name made of digits only counts as a process id unless there is
 * a namespace of that name.
 * @throws {SystemError} ENOENT if there is none, EINVAL if the file is not a network namespace.
 */
export function openNetns(namespace: string): NetnsHandle {
  if (namespace === "") throw new SystemError(ENOENT, "open a network namespace without a name");
  const { fd, path } = openCandidate(namespace);
  using file = new OwnedFd(fd);
  prepareErrno();
  if (libc().ioctl(fd, NS_GET_NSTYPE, 0n) !== CLONE_NEWNET) {
    throw new SystemError(EINVAL, "use as a network namespace", path);
  }
  return new OpenNetns(file.release(), path);
}

function openCandidate(namespace: string): { fd: number; path: string } {
  // Nonblocking, since the path may be anything, a FIFO included.
  const open = (path: string) => ({ fd: openFile(path, O_RDONLY | O_NONBLOCK), path });
  if (namespace.includes("/")) return open(namespace);
  if (namespace === "." || namespace === "..") {
    throw new SystemError(EINVAL, "use as a network namespace", namespace);
  }
  const named = `/run/netns/${namespace}`;
  if (!/^[0-9]+$/.test(namespace)) return open(named);
  try {
    return open(named);
  } catch (error) {
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error;
    return open(`/proc/${namespace}/ns/net`);
  }
}

class OpenNetns extends OwnedFd implements NetnsHandle {
  constructor(fd: number, readonly path: string) {
    super(fd);
  }
}

/**
 * Makes a network namespace without a name, empty but for a loopback device that is down. It is gone when the handle is disposed and
 * nothing else is in it: for tests and for trying things out.
 *
 * @returns the handle; {@linkcode withNetns} enters it.
 * @throws {SystemError} EPERM without CAP_SYS_ADMIN.
 *
 * @example
 * ```ts no-assert
 * import { listLinks, openRtnl } from "@knet/knet";
 *
 * using namespace = newNetns();
 * const names = withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   return listLinks(rtnl).map((link) => link.name);
 * });
 * console.log(names); // [ "lo" ], and tunnels that the kernel makes by itself
 * ```
 */
export function newNetns(): NetnsHandle {
  const c = libc();
  prepareErrno();
  const before = entered ?? ownNetns();
  if (c.unshare(CLONE_NEWNET) < 0) throw new SystemError(errno(), "make a network namespace");
  const path = "/proc/thread-self/ns/net";
  try {
    return new OpenNetns(openFile(path, O_RDONLY), path);
  } finally {
    if (c.setns(before, CLONE_NEWNET) < 0) giveUp(errno());
  }
}

let own: number | undefined;
/** The namespace that the thread is in now, if it is not its own. */
let entered: number | undefined;

/**
 * The namespace that this thread started in, kept open for the life of the process. It is opened at
 * the first call, which every {@linkcode withNetns} makes before it goes anywhere.
 *
 * @returns the descriptor; do not close it.
 */
export function ownNetns(): number {
  return own ??= openFile("/proc/thread-self/ns/net", O_RDONLY);
}

/**
 * Runs a function inside a network namespace and comes back.
 *
 * Sockets opened inside belong to that namespace for good and can be used from outside afterwards.
 * Inside there must be no await, no asynchronous file call, no Worker, and no first use of a
 * nonblocking foreign call. Coming back is not allowed to fail: a host agent that goes on in a
 * container's namespace would program the wrong network, so the process is aborted.
 *
 * @param fd an open namespace.
 * @param fn a synchronous function.
 * @returns what the function returns.
 * @throws {TypeError} if the function is asynchronous or returns a promise.
 * @throws {SystemError} if the namespace cannot be entered; needs CAP_SYS_ADMIN.
 */
export function withNetns<T>(fd: number, fn: () => T): T {
  if (Object.prototype.toString.call(fn) === "[object AsyncFunction]") throw refused();
  const c = libc();
  prepareErrno();
  const before = entered ?? ownNetns();
  const outer = entered;
  if (c.setns(fd, CLONE_NEWNET) < 0) throw new SystemError(errno(), "enter a network namespace");
  entered = fd;
  let result: T;
  try {
    result = fn();
  } finally {
    if (c.setns(before, CLONE_NEWNET) < 0) giveUp(errno());
    entered = outer;
  }
  if (isThenable(result)) {
    // Nobody will await it; its rejection is part of the mistake reported here.
    result.then(undefined, () => {});
    throw refused();
  }
  return result;
}

/**
 * Runs a function inside a new, empty network namespace, which is gone afterwards with all that was made in it.
 *
 * The same rules hold as for {@linkcode withNetns}; sockets opened inside must be closed inside, since they keep
 * the namespace alive.
 *
 * @throws {SystemError} if none can be made; needs CAP_SYS_ADMIN.
 */
export function withNewNetns<T>(fn: () => T): T {
  const c = libc();
  prepareErrno();
  return withNetns(ownNetns(), () => {
    // withNetns leads back from here, wherever the thread is by then.
    if (c.unshare(CLONE_NEWNET) < 0) throw new SystemError(errno(), "make a network namespace");
    return fn();
  });
}

function refused(): TypeError {
  return new TypeError("Cannot run an asynchronous function in a network namespace");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value &&
    typeof value.then === "function";
}

function giveUp(number: number): never {
  const { message } = new SystemError(number, "return to the own network namespace");
  const text = new TextEncoder().encode(`${message}: aborting\n`);
  libc().write(2, text, BigInt(text.length));
  libc().abort();
  throw new Error(message);
}

/**
 * Identifies a namespace: two descriptors give the same text if and only if they are of the same one.
 *
 * @returns `device:inode`. The number of a namespace that is gone may be given to a new one.
 */
export function netnsId(fd: number): string {
  const { major, minor, inode } = fileId(fd);
  return `${major * 256 + minor}:${inode}`;
}

/**
 * The kernel's own number of a namespace, which no other one gets before the next boot (SO_NETNS_COOKIE).
 *
 * @returns undefined if the kernel has none (before 5.14).
 * @throws {SystemError} if the namespace cannot be entered; needs CAP_SYS_ADMIN.
 */
export function netnsCookie(fd: number): bigint | undefined {
  return withNetns(fd, () => {
    const c = libc();
    prepareErrno();
    const opened = check(c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "open a socket");
    using socket = new OwnedFd(opened);
    const value = new BigUint64Array(1);
    const length = new Uint32Array([8]);
    const bytes = [value, length].map((array) => new Uint8Array(array.buffer));
    const done = c.getsockopt(socket.fd, SOL_SOCKET, SO_NETNS_COOKIE, bytes[0]!, bytes[1]!);
    return done < 0 ? undefined : value[0];
  });
}
