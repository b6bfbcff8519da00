/**
 * A router advertisement made by hand (RFC 4861 section 4.2): `advertise.ts INTERFACE COUNT` sends it to all nodes of the link, as a
 * router for everything that announces a prefix. The interface needs a link-local address.
 *
 * @module
 */
import { errno, libc } from "../../ffi/libc.ts";
import { AF_INET6, SOCK_RAW, SOCKADDR_IN6 } from "../../ffi/linux/socket.ts";

const IPPROTO_ICMPV6 = 58;
const SOL_IPV6 = 41;
const IPV6_MULTICAST_IF = 17; // linux/in6.h
const IPV6_MULTICAST_HOPS = 18;
const ROUTER_ADVERTISEMENT = 134;

/** The advertisement; the kernel fills in the checksum. */
export function advertisement(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16 + 32);
  const view = new DataView(bytes.buffer);
  bytes[0] = ROUTER_ADVERTISEMENT;
  bytes[4] = 64; // Hop limit.
  view.setUint16(6, 1800); // Seconds that it is a default router.
  bytes.set([3, 4, 64, 0xc0], 16); // Prefix information, on-link and autonomous.
  view.setUint32(20, 86_400);
  view.setUint32(24, 86_400);
  bytes.set([0x20, 0x01, 0x0d, 0xb8, 0xba, 0xad], 32); // 2001:db8:baad::/64
  return bytes;
}

function send(index: number): void {
  const fd = libc().socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  if (fd < 0) throw new Error(`socket: ${errno()}`);
  try {
    // A router advertisement that has passed a router is none.
    for (const [option, value] of [[IPV6_MULTICAST_IF, index], [IPV6_MULTICAST_HOPS, 255]]) {
      const status = libc().setsockopt(fd, SOL_IPV6, option!, new Int32Array([value!]), 4);
      if (status < 0) throw new Error(`setsockopt: ${errno()}`);
    }
    const to = new Uint8Array(SOCKADDR_IN6);
    const view = new DataView(to.buffer);
    view.setUint16(0, AF_INET6, true);
    to.set([0xff, 0x02], 8);
    to[23] = 1;
    view.setUint32(24, index, true);
    const bytes = advertisement();
    const sent = libc().sendto(fd, bytes, BigInt(bytes.length), 0, to, to.length);
    if (Number(sent) !== bytes.length) throw new Error(`sendto: ${errno()}`);
  } finally {
    libc().close(fd);
  }
}

if (import.meta.main) {
  const [name, count] = Deno.args as [string, string];
  const index = Number(Deno.readTextFileSync(`/sys/class/net/${name}/ifindex`));
  for (let n = 0; n < Number(count); n++) send(index);
  console.log("sent");
}
