/**
 * TUN devices: network devices whose other end is a descriptor (linux/if_tun.h).
 *
 * With a virtio_net_hdr before each packet, the kernel hands over and takes TCP packets of up to 64 KiB
 * that stand for many, and leaves their checksums to the last moment.
 *
 * @module
 */
import { openFile, OwnedFd } from "./file.ts";
import { errno, libc, prepareErrno, SystemError } from "./libc.ts";
import { O_NONBLOCK, O_RDWR } from "./linux/fcntl.ts";
import { IFNAMSIZ, IFREQ } from "./linux/if.ts";
import { addressOf } from "./memory.ts";

// linux/if_tun.h; the numbers are those of asm-generic/ioctl.h, which x86-64, arm64 and riscv64 share.
const TUNSETIFF = 0x400454can;
const TUNSETPERSIST = 0x400454cbn;
const TUNSETOFFLOAD = 0x400454d0n;
const TUNSETVNETHDRSZ = 0x400454d8n;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01n;
const TUN_F_TSO4 = 0x02n;
const TUN_F_TSO_ECN = 0x08n;
const TUN_F_USO4 = 0x20n;
const TUN_F_USO6 = 0x40n;

/** Bytes of struct virtio_net_hdr before each packet (linux/virtio_net.h). */
export const VNET_HDR = 10;

/** Where TUN devices are made. */
export const TUN_PATH = "/dev/net/tun";

/** An open end of a TUN device. The device outlives it. */
export interface Tun extends Disposable {
  readonly name: string;
  /** Reads and writes one packet a call, and never waits. */
  readonly fd: number;
  /** Each packet has a virtio_net_hdr before it, and TCP packets of IPv4 may stand for many. */
  readonly offloads: boolean;
  /** UDP datagrams of IPv4 may stand for many (Linux 6.2 and later). */
  readonly udpOffload: boolean;
}

/**
 * Opens a TUN device, and makes it if it is not there. It is persistent: it stays, with its addresses
 * and routes, when the descriptor is closed, and drops what is sent into it until it is opened again.
 *
 * @param options.offloads Ask for large packets.
 * @throws {SystemError} ENOENT or ENODEV if the kernel has no TUN; EBUSY if another process holds the
 * device; EINVAL if a device of this name is something else; EPERM without CAP_NET_ADMIN.
 */
export function openTun(name: string, options: { readonly offloads: boolean }): Tun {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length >= IFNAMSIZ) {
    throw new RangeError(`Cannot open the TUN device "${name}": its name is not 1 to 15 bytes`);
  }
  using file = new OwnedFd(openFile(TUN_PATH, O_RDWR | O_NONBLOCK));
  const { fd } = file;
  const request = new Uint8Array(new ArrayBuffer(IFREQ));
  request.set(bytes);
  const flags = IFF_TUN | IFF_NO_PI | (options.offloads ? IFF_VNET_HDR : 0);
  new DataView(request.buffer).setInt16(IFNAMSIZ, flags, true); // The flags lie behind the name.
  ioctl(fd, TUNSETIFF, request, name);
  let udpOffload = false;
  if (options.offloads) {
    const size = new Uint8Array(new Int32Array([VNET_HDR]).buffer);
    ioctl(fd, TUNSETVNETHDRSZ, size, name);
    udpOffload = setOffloads(fd, name);
  }
  ioctl(fd, TUNSETPERSIST, 1n, name);
  return new OpenTun(file.release(), name, options.offloads, udpOffload);
}

class OpenTun extends OwnedFd implements Tun {
  constructor(
    fd: number,
    readonly name: string,
    readonly offloads: boolean,
    readonly udpOffload: boolean,
  ) {
    super(fd);
  }
}

/** @returns whether the kernel does UDP too. */
function setOffloads(fd: number, name: string): boolean {
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN;
  // The kernel takes the two of UDP together or not at all.
  if (libc().ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) >= 0) return true;
  ioctl(fd, TUNSETOFFLOAD, tcp, name);
  return false;
}

function ioctl(
  fd: number,
  request: bigint,
  argument: bigint | Uint8Array<ArrayBuffer>,
  name: string,
): void {
  prepareErrno();
  const value = typeof argument === "bigint" ? argument : BigInt(addressOf(argument.buffer));
  if (libc().ioctl(fd, request, value) < 0) {
    throw new SystemError(errno(), "open the TUN device", name);
  }
}
