/**
 * Unix sockets as the C library has them, for libraries that take a descriptor.
 *
 * @module
 */
import { OwnedFd, writeFd } from "./file.ts";
import { check, libc, prepareErrno } from "./libc.ts";
import { O_CLOEXEC } from "./linux/fcntl.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "./linux/socket.ts";

/** sizeof(sun_path) of struct sockaddr_un (sys/un.h). */
const SUN_PATH = 108;

/** struct sockaddr_un (sys/un.h). */
function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length >= SUN_PATH) {
    throw new RangeError(
      `Cannot use the socket "${path}": a socket's path has at most ${SUN_PATH - 1} bytes`,
    );
  }
  const address = new Uint8Array(2 + SUN_PATH);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

/** Descriptors that are looked at: a new one has the lowest number that is free. */
const DESCRIPTORS = 4096;

/**
 * The descriptor of this process's socket that is bound to an abstract name.
 *
 * @param name Without the leading zero byte.
 */
export function abstractSocket(name: string): number | undefined {
  const wanted = unixAddress(`\0${name}`).subarray(0, 3 + name.length);
  const address = new Uint8Array(2 + SUN_PATH);
  const length = new Uint32Array(1);
  for (let fd = 0; fd < DESCRIPTORS; fd++) {
    length[0] = address.length;
    if (libc().getsockname(fd, address, length) !== 0 || length[0] !== wanted.length) continue;
    if (wanted.every((byte, index) => byte === address[index])) return fd;
  }
  return undefined;
}

/**
 * Puts a socket that is bound to a path of the file system in the place of a bound socket: whoever holds the descriptor listens there
 * from now on. Nobody may have listened on it yet.
 *
 * @throws {RangeError} if the path is too long for a socket.
 * @throws {SystemError} if it cannot be bound.
 */
export function bindInstead(descriptor: number, path: string): void {
  const address = unixAddress(path);
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  prepareErrno();
  using socket = new OwnedFd(
    check(libc().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "make a socket"),
  );
  check(libc().bind(socket.fd, address, address.length), "bind", path);
  check(libc().dup3(socket.fd, descriptor, O_CLOEXEC), "replace a socket by", path);
}

/**
 * Connects to a socket of the file system and writes the first bytes. It never waits: the connection stands as soon as it waits to be
 * accepted, and a listener whose queue is full is an error.
 *
 * @param first few enough for the socket's buffer.
 * @returns the descriptor, nonblocking, which the caller closes.
 * @throws {RangeError} if the path is too long for a socket.
 * @throws {SystemError} if nobody listens there.
 */
export function connectUnix(path: string, first: Uint8Array<ArrayBuffer>): number {
  const to = unixAddress(path);
  prepareErrno();
  using socket = new OwnedFd(
    check(libc().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "make a socket"),
  );
  check(libc().connect(socket.fd, to, to.length), "connect", path);
  writeFd(socket.fd, first, path);
  return socket.release();
}
