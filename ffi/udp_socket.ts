/**
 * UDP sockets that send and receive datagrams in bundles (UDP_SEGMENT and UDP_GRO, linux/udp.h), and the
 * raw socket that ICMP errors leave by.
 *
 * @module
 */
import { check, closeFile, libc, prepareErrno } from "./libc.ts";
import { writeSockaddr } from "./packet_io.ts";

const symbols = {
  // int setsockopt(int fd, int level, int optname, const void *optval, socklen_t optlen)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
} as const;

let opened: Deno.DynamicLibrary<typeof symbols>["symbols"] | undefined;

function calls() {
  return opened ??= Deno.dlopen("libc.so.6", symbols).symbols;
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_ICMP = 1;
const SOL_IP = 0;
const IP_FREEBIND = 15; // linux/in.h
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32; // asm-generic/socket.h
const SO_RCVBUFFORCE = 33;
const SOL_RAW = 255;
const ICMP_FILTER = 1; // linux/icmp.h
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

/** A socket, closed when disposed of. */
export interface DatagramSocket extends Disposable {
  readonly fd: number;
  /** Datagrams may be sent as one bundle (Linux 4.18 and later). */
  readonly segments: boolean;
  /** Datagrams may arrive as one bundle (Linux 5.0 and later). */
  readonly bundles: boolean;
}

function handle(fd: number, segments: boolean, bundles: boolean): DatagramSocket {
  let closed = false;
  return {
    fd,
    segments,
    bundles,
    [Symbol.dispose]() {
      if (!closed) closeFile(fd);
      closed = true;
    },
  };
}

function sockaddr(address: number, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(16));
  writeSockaddr(new DataView(bytes.buffer), 0, address, port);
  return bytes;
}

function option(fd: number, level: number, name: number, value: number): boolean {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return calls().setsockopt(fd, level, name, bytes, 4) >= 0;
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
  try {
    option(fd, SOL_IP, IP_FREEBIND, 1);
    // A stock host caps the ordinary options at 208 KiB, which is two bundles.
    option(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.buffer);
    option(fd, SOL_SOCKET, SO_SNDBUFFORCE, options.buffer);
    const segments = options.bundles && option(fd, SOL_UDP, UDP_SEGMENT, 0);
    const bundles = options.bundles && option(fd, SOL_UDP, UDP_GRO, 1);
    check(calls().bind(fd, sockaddr(address, port), 16), `bind UDP port ${port}`);
    return handle(fd, segments, bundles);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
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
  try {
    option(fd, SOL_IP, IP_FREEBIND, 1);
    // It only sends. Every ICMP message of the host would otherwise be queued on it.
    option(fd, SOL_RAW, ICMP_FILTER, -1);
    check(calls().bind(fd, sockaddr(address, 0), 16), "bind an ICMP socket");
    return handle(fd, false, false);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}
