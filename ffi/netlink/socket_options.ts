/**
 * Options of netlink sockets: how much they hold, and how long they wait.
 *
 * @module
 */
import { libc } from "../libc.ts";
import {
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
} from "../linux/socket.ts";

/** Sets the buffers' bytes; beyond the host's limit (net.core.rmem_max) where the process may. */
export function setBuffers(fd: number, receive: number, send: number): void {
  if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive)) {
    setOption(fd, SOL_SOCKET, SO_RCVBUF, receive);
  }
  if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, send)) setOption(fd, SOL_SOCKET, SO_SNDBUF, send);
}

/** Sets an option; returns whether the kernel took it. */
export function setOption(fd: number, level: number, option: number, value: number): boolean {
  return libc().setsockopt(fd, level, option, new Int32Array([value]), 4) === 0;
}

/** Makes waiting on a socket end: by EAGAIN. libnl's own waiting, too. */
export function setPatience(fd: number, seconds: number): void {
  // struct timeval, of 64-bit machines.
  const time = new BigInt64Array([
    BigInt(Math.floor(seconds)),
    BigInt(Math.floor((seconds % 1) * 1e6)),
  ]);
  libc().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, time, time.byteLength);
}

/** Bytes of a socket's receive buffer as the kernel counts them: twice what was asked for. */
export function receiveBufferOf(fd: number): number {
  const value = new Int32Array(1);
  const status = libc().getsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, new Uint32Array([4]));
  return status === 0 ? value[0]! : 0;
}
