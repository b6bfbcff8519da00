/**
 * UDP sockets that send and receive datagrams in bundles (UDP_SEGMENT and UDP_GRO, linux/udp.h), and the
 * raw socket that ICMP errors leave by.
 *
 * @module
 */
import { OwnedFd } from "./file.ts";
import { check, libc, prepareErrno } from "./libc.ts";
import {
  AF_INET,
  ICMP_FILTER,
  IP_FREEBIND,
  IPPROTO_ICMP,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCKADDR_IN,
  SOL_IP,
  SOL_RAW,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from "./linux/socket.ts";
import { writeSockaddr } from "./packet_io.ts";

/** A socket, closed when disposed of. */
export interface DatagramSocket extends Disposable {
  readonly fd: number;
  /** Datagrams may be sent as one bundle (Linux 4.18 and later). */
  readonly segments: boolean;
  /** Datagrams may arrive as one bundle (Linux 5.0 and later). */
  readonly bundles: boolean;
}

class OpenSocket extends OwnedFd implements DatagramSocket {
  constructor(fd: number, readonly segments: boolean, readonly bundles: boolean) {
    super(fd);
  }
}

function sockaddr(address: number, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(SOCKADDR_IN));
  writeSockaddr(new DataView(bytes.buffer), 0, address, port);
  return bytes;
}

function option(fd: number, level: number, name: number, value: number): boolean {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return libc().setsockopt(fd, level, name, bytes, 4) >= 0;
}

/**
 * Opens a UDP socket on an address of this host, or one that it may come to have.
 *
 * @param address The address as a number.
 * @param options.buffer Bytes of each of its queues.
 * @param options.bundles Ask for bundles.
 * @throws {SystemError} EADDRINUSE if another program has the port.
 */
export function openUdp(
  address: number,
  port: number,
  options: { readonly buffer: number; readonly bundles: boolean },
): DatagramSocket {
  prepareErrno();
  const fd = check(
    libc().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    "open a UDP socket",
  );
  using socket = new OwnedFd(fd);
  option(fd, SOL_IP, IP_FREEBIND, 1);
  // A stock host caps the ordinary options at 208 KiB, which is two bundles.
  option(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.buffer);
  option(fd, SOL_SOCKET, SO_SNDBUFFORCE, options.buffer);
  const segments = options.bundles && option(fd, SOL_UDP, UDP_SEGMENT, 0);
  const bundles = options.bundles && option(fd, SOL_UDP, UDP_GRO, 1);
  check(libc().bind(fd, sockaddr(address, port), SOCKADDR_IN), `bind UDP port ${port}`);
  return new OpenSocket(socket.release(), segments, bundles);
}

/**
 * Opens a socket that sends ICMP messages from an address of this host.
 *
 * @throws {SystemError} EPERM without CAP_NET_RAW.
 */
export function openIcmp(address: number): DatagramSocket {
  prepareErrno();
  const fd = check(
    libc().socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP),
    "open an ICMP socket",
  );
  using socket = new OwnedFd(fd);
  option(fd, SOL_IP, IP_FREEBIND, 1);
  // It only sends. Every ICMP message of the host would otherwise be queued on it.
  option(fd, SOL_RAW, ICMP_FILTER, -1);
  check(libc().bind(fd, sockaddr(address, 0), SOCKADDR_IN), "bind an ICMP socket");
  return new OpenSocket(socket.release(), false, false);
}
