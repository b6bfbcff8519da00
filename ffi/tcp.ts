/**
 * TCP connections that are tried and given up, many at a time, without a thread, a promise or a resource of Deno's for each.
 *
 * They end with a FIN. A reset (SO_LINGER of no time) would spare this host the socket in TIME-WAIT, but a server that accepts a
 * connection which has been reset gets ENOTCONN from accept or getpeername, and not every one survives it: Deno's own does not.
 *
 * @module
 */
import { EINPROGRESS } from "./errno.ts";
import { afOf, textFamily, writeAddress } from "./ip.ts";
import { POLLFD, POLLOUT } from "./linux/fcntl.ts";
import {
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_IN,
  SOCKADDR_IN6,
  SOL_SOCKET,
} from "./linux/socket.ts";
import { closeFile, OwnedFd } from "./file.ts";
import { check, errno, libc, prepareErrno, SystemError } from "./libc.ts";

/** What connecting without waiting begins with. */
const SOCK_STREAM_NONBLOCK = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

/** A struct sockaddr_in (ip(7)) or sockaddr_in6 (ipv6(7)). */
export function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const family = textFamily(address);
  const bytes = new Uint8Array(family === 4 ? SOCKADDR_IN : SOCKADDR_IN6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, afOf(family), true);
  view.setUint16(2, port);
  writeAddress(address, bytes, family === 4 ? 4 : 8);
  return bytes;
}

/**
 * Begins a connection in the network namespace of the calling thread. Whether it comes to be, {@linkcode connectionsDecided} and
 * {@linkcode connectionError} tell.
 *
 * @param to of {@linkcode socketAddress}.
 * @returns its descriptor, to be closed by {@linkcode endConnection}.
 * @throws {SystemError} if it fails at once: refused by this host itself, no route, no descriptor left.
 */
export function beginConnection(to: Uint8Array<ArrayBuffer>): number {
  prepareErrno();
  using socket = new OwnedFd(
    check(libc().socket(to[0]!, SOCK_STREAM_NONBLOCK, 0), "make a socket"),
  );
  if (libc().connect(socket.fd, to, to.length) < 0) {
    const number = errno();
    if (number !== EINPROGRESS) throw new SystemError(number, "connect");
  }
  return socket.release();
}

/** Which of some connections have come to be or have failed. Does not wait. */
export function connectionsDecided(fds: readonly number[]): number[] {
  const bytes = new Uint8Array(fds.length * POLLFD);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < fds.length; index++) {
    view.setInt32(index * POLLFD, fds[index]!, true);
    view.setInt16(index * POLLFD + 4, POLLOUT, true);
  }
  if (libc().poll(bytes, BigInt(fds.length), 0) <= 0) return [];
  return fds.filter((_, index) => view.getInt16(index * POLLFD + 6, true) !== 0);
}

const optionValue = new Uint8Array(new ArrayBuffer(4));
const optionLength = new Uint8Array(new Uint32Array([4]).buffer);

/** Why a decided connection failed; undefined if it has come to be. */
export function connectionError(fd: number): SystemError | undefined {
  libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, optionValue, optionLength);
  const number = new DataView(optionValue.buffer).getInt32(0, true);
  return number === 0 ? undefined : new SystemError(number, "connect");
}

/** Ends a connection, or the attempt. */
export function endConnection(fd: number): void {
  closeFile(fd);
}
