/**
 * Sockets that try a path: datagrams and ICMP echoes that are never fragmented, and what came back with its hop limit and the
 * interface that it came by; and datagrams to all on one segment. IPv4.
 *
 * @module
 */
import { EAGAIN } from "./errno.ts";
import { OwnedFd } from "./file.ts";
import { check, errno, libc, prepareErrno } from "./libc.ts";
import {
  AF_INET,
  ICMP_FILTER,
  IP_FREEBIND,
  IP_MTU_DISCOVER,
  IP_PKTINFO,
  IP_PMTUDISC_PROBE,
  IP_RECVTTL,
  IP_TTL,
  IPPROTO_ICMP,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SO_BINDTODEVICE,
  SO_BROADCAST,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCKADDR_IN,
  SOL_IP,
  SOL_RAW,
  SOL_SOCKET,
} from "./linux/socket.ts";
import { addressOf, setPointer } from "./memory.ts";
import { writeSockaddr } from "./packet_io.ts";

/** Bytes of struct msghdr (sys/socket.h) and where its fields are, on 64-bit targets. */
const MSGHDR = 56;
const MSG_CONTROLLEN = 40;
/** Bytes of struct cmsghdr; each message is padded to eight. */
const CMSGHDR = 16;
const CONTROL = 128;
/** The largest packet of IPv4, bytes. */
const LONGEST = 65_535;
/** 255.255.255.255: all on a segment, and no router passes it on (RFC 919). */
export const ALL_HOSTS = 0xffffffff;
/** ICMP type of an echo reply (RFC 792); every other one is kept from the socket. */
const ECHO_REPLY = 0;

/** A packet that came. Its bytes are good until the next is received. */
export interface ProbePacket {
  /** The sender's address as a number. */
  readonly from: number;
  /** Its port; 0 for ICMP. */
  readonly port: number;
  /** The hop limit that it came with; undefined if the kernel does not tell. */
  readonly ttl: number | undefined;
  /** Index of the interface that it came by. */
  readonly ifindex: number | undefined;
  /** The address that it was sent to, a number; {@linkcode ALL_HOSTS} for one to all. */
  readonly to: number | undefined;
  /** The payload; of an ICMP packet, from the ICMP header on. */
  readonly bytes: Uint8Array;
}

/** What all sockets of this thread receive into: nothing of it outlives the call of whoever received. */
let buffers: {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly name: DataView<ArrayBuffer>;
  readonly control: DataView<ArrayBuffer>;
  readonly message: DataView<ArrayBuffer>;
  readonly messageBytes: Uint8Array<ArrayBuffer>;
  readonly vector: DataView<ArrayBuffer>;
} | undefined;

function receiveBuffers() {
  if (buffers !== undefined) return buffers;
  const data = new Uint8Array(new ArrayBuffer(LONGEST));
  const name = new DataView(new ArrayBuffer(SOCKADDR_IN));
  const control = new DataView(new ArrayBuffer(CONTROL));
  const vector = new DataView(new ArrayBuffer(16));
  const message = new DataView(new ArrayBuffer(MSGHDR));
  setPointer(vector, 0, addressOf(data.buffer));
  setPointer(vector, 8, LONGEST);
  setPointer(message, 0, addressOf(name.buffer));
  setPointer(message, 16, addressOf(vector.buffer));
  setPointer(message, 24, 1);
  setPointer(message, 32, addressOf(control.buffer));
  const messageBytes = new Uint8Array(message.buffer);
  return buffers = { data, name, control, message, messageBytes, vector };
}

/** A socket that tries paths, closed when disposed of. */
export class ProbeSocket extends OwnedFd {
  readonly #to = new DataView(new ArrayBuffer(SOCKADDR_IN));
  readonly #toBytes = new Uint8Array(this.#to.buffer);
  /** Bytes of the IP header that a raw socket hands over. */
  readonly #raw: boolean;

  private constructor(fd: number, raw: boolean) {
    super(fd);
    this.#raw = raw;
  }

  static #open(
    type: number,
    protocol: number,
    address: number,
    port: number,
    device?: string,
  ): ProbeSocket {
    prepareErrno();
    const raw = protocol === IPPROTO_ICMP;
    const what = raw ? "open an ICMP socket" : "open a UDP socket";
    const fd = check(libc().socket(AF_INET, type | SOCK_CLOEXEC, protocol), what);
    using owned = new OwnedFd(fd);
    const option = (level: number, name: number, value: number) => {
      const bytes = new Uint8Array(new Int32Array([value]).buffer);
      check(libc().setsockopt(fd, level, name, bytes, 4), what);
    };
    option(SOL_IP, IP_FREEBIND, 1);
    option(SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    option(SOL_IP, IP_RECVTTL, 1);
    option(SOL_IP, IP_PKTINFO, 1);
    if (device !== undefined) {
      option(SOL_SOCKET, SO_BROADCAST, 1);
      const name = new TextEncoder().encode(`${device}\0`);
      check(libc().setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length), what);
    }
    if (raw) option(SOL_RAW, ICMP_FILTER, ~(1 << ECHO_REPLY));
    const own = new DataView(new ArrayBuffer(SOCKADDR_IN));
    writeSockaddr(own, 0, address, port);
    check(
      libc().bind(fd, new Uint8Array(own.buffer), SOCKADDR_IN),
      raw ? "bind an ICMP socket" : `bind UDP port ${port}`,
    );
    return new ProbeSocket(owned.release(), raw);
  }

  /**
   * A UDP socket on an address of this host, or one that it may come to have.
   *
   * @param address The address as a number.
   * @throws {SystemError} EADDRINUSE if another program has the port.
   */
  static udp(address: number, port: number): ProbeSocket {
    return ProbeSocket.#open(SOCK_DGRAM, 0, address, port);
  }

  /**
   * A UDP socket on an interface, whatever addresses that has, by which all on its segment can be spoken to. Nothing of it goes or comes
   * by another interface.
   *
   * @throws {SystemError} EADDRINUSE if another program has the port, ENODEV if there is no such interface.
   */
  static segment(device: string, port: number): ProbeSocket {
    return ProbeSocket.#open(SOCK_DGRAM, 0, 0, port, device);
  }

  /**
   * A socket for ICMP echoes from an address of this host. All that look for answers see all answers.
   *
   * @throws {SystemError} EPERM without CAP_NET_RAW.
   */
  static echo(address: number): ProbeSocket {
    return ProbeSocket.#open(SOCK_RAW, IPPROTO_ICMP, address, 0);
  }

  /**
   * Sends one packet, with don't-fragment.
   *
   * @returns 0, or the errno: EMSGSIZE where it is longer than the interface takes, ENETUNREACH without a route.
   */
  send(bytes: Uint8Array<ArrayBuffer>, address: number, port = 0): number {
    writeSockaddr(this.#to, 0, address, port);
    const sent = libc().sendto(
      this.fd,
      bytes,
      BigInt(bytes.length),
      MSG_DONTWAIT | MSG_NOSIGNAL,
      this.#toBytes,
      SOCKADDR_IN,
    );
    return sent < 0 ? errno() : 0;
  }

  /** The next packet, undefined if none is there. What the kernel says of packets sent before is passed over. */
  receive(): ProbePacket | undefined {
    const { data, name, control, message, messageBytes } = receiveBuffers();
    for (let attempt = 0; attempt < 16; attempt++) {
      message.setUint32(8, SOCKADDR_IN, true);
      setPointer(message, MSG_CONTROLLEN, CONTROL);
      const count = libc().recvmsg(this.fd, messageBytes, MSG_DONTWAIT);
      if (count < 0) {
        if (errno() === EAGAIN) return undefined;
        continue;
      }
      const { ttl, ifindex, to } = readControl(control, message.getUint32(MSG_CONTROLLEN, true));
      const start = this.#raw ? (data[0]! & 0xf) * 4 : 0;
      return {
        from: name.getUint32(4),
        port: this.#raw ? 0 : name.getUint16(2),
        ttl: this.#raw ? data[8] : ttl,
        ifindex,
        to,
        bytes: data.subarray(Math.min(start, count), count),
      };
    }
    return undefined;
  }
}

/** The hop limit, the interface and the receiver's address out of control messages (ip(7)). */
function readControl(
  control: DataView,
  length: number,
): Pick<ProbePacket, "ttl" | "ifindex" | "to"> {
  let ttl, ifindex, to;
  for (let at = 0; at + CMSGHDR <= length;) {
    const size = control.getUint32(at, true);
    if (size < CMSGHDR) break;
    const level = control.getInt32(at + 8, true);
    const type = control.getInt32(at + 12, true);
    if (level === SOL_IP && type === IP_TTL) ttl = control.getInt32(at + CMSGHDR, true);
    // struct in_pktinfo (linux/in.h): the index, the address to answer from, the one in the header.
    if (level === SOL_IP && type === IP_PKTINFO) {
      ifindex = control.getInt32(at + CMSGHDR, true);
      to = control.getUint32(at + CMSGHDR + 8);
    }
    at += (size + 7) & ~7;
  }
  return { ttl, ifindex, to };
}
