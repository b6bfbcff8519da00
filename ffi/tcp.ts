/**
 * TCP connections that are tried and given up, many at a time, without a thread, a promise or a resource of Deno's for each; and what
 * Deno cannot set of its own.
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
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOCKADDR_IN,
  SOCKADDR_IN6,
  SOL_SOCKET,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_USER_TIMEOUT,
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

/** How long the other side of a connection may be silent. */
export interface Silence {
  /** Seconds without anything from there until it is asked, between questions, and how many go unanswered at most. */
  readonly idle: number;
  readonly interval: number;
  readonly questions: number;
  /** Milliseconds that what was sent may go unacknowledged. Without it the kernel tries for a quarter of an hour. */
  readonly unanswered?: number;
}

/** A connection's two ends, as Deno tells them. */
export type Ends = Pick<Deno.TcpConn, "localAddr" | "remoteAddr">;

/**
 * Bounds how long the other side of one of this process's connections may be silent, by the kernel's own clocks: a host whose address
 * is gone, its own or the other's, says nothing, and a connection to it would be tried for a quarter of an hour. SO_KEEPALIVE has to
 * be on.
 *
 * Deno tells nobody the descriptor of a connection: it is found by its two ends.
 *
 * @returns whether the connection was found.
 */
export function boundSilence(ends: Ends, silence: Silence): boolean {
  const fd = descriptorOf(ends);
  if (fd === undefined) return false;
  const set = (option: number, value: number) =>
    libc().setsockopt(fd, IPPROTO_TCP, option, new Int32Array([value]), 4);
  set(TCP_KEEPIDLE, silence.idle);
  set(TCP_KEEPINTVL, silence.interval);
  set(TCP_KEEPCNT, silence.questions);
  if (silence.unanswered !== undefined) set(TCP_USER_TIMEOUT, silence.unanswered);
  return true;
}

type AskName = (
  fd: number,
  address: Uint8Array<ArrayBuffer>,
  length: Uint8Array<ArrayBuffer>,
) => number;

function descriptorOf({ localAddr, remoteAddr }: Ends): number | undefined {
  const [local, remote] = [endOf(localAddr), endOf(remoteAddr)];
  const is = (ask: AskName, fd: number, end: Uint8Array) => {
    const address = new Uint8Array(SOCKADDR_IN6);
    const length = new Uint8Array(new Uint32Array([SOCKADDR_IN6]).buffer);
    return ask(fd, address, length) === 0 && isSame(address, end);
  };
  const { getsockname, getpeername } = libc();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (is(getpeername, fd, remote) && is(getsockname, fd, local)) return fd;
  }
  return undefined;
}

function endOf(address: Deno.Addr): Uint8Array<ArrayBuffer> {
  const { hostname, port } = address as Deno.NetAddr;
  return socketAddress(hostname, port);
}

/** Where in a sockaddr of a family its family, port and address are; flow and scope are not told apart. */
const PARTS: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  [AF_INET]: [[0, 8]],
  [AF_INET6]: [[0, 4], [8, 24]],
};

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return PARTS[one[0]!]?.every(([from, to]) =>
    one.subarray(from, to).every((byte, index) => byte === other[from + index])
  ) ?? false;
}
