/**
 * Unix sockets as the C library has them, for libraries that take a descriptor.
 *
 * @module
 */
import { OwnedFd, writeFd } from "./file.ts";
import { check, libc, prepareErrno } from "./libc.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "./linux/socket.ts";

/** sizeof(sun_path) of struct sockaddr_un (sys/un.h). */
const SUN_PATH = 108;

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
  const name = new TextEncoder().encode(path);
  if (name.length >= SUN_PATH) {
    throw new RangeError(
      `Cannot connect to "${path}": a socket's path has at most ${SUN_PATH - 1} bytes`,
    );
  }
  const to = new Uint8Array(2 + SUN_PATH);
  new DataView(to.buffer).setUint16(0, AF_UNIX, true);
  to.set(name, 2);
  prepareErrno();
  using socket = new OwnedFd(
    check(libc().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "make a socket"),
  );
  check(libc().connect(socket.fd, to, to.length), "connect", path);
  writeFd(socket.fd, first, path);
  return socket.release();
}
