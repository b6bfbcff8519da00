/**
 * Tells the service manager how the agent is (sd_notify(3)).
 *
 * Deno has no datagram sockets of the Unix family without unstable features, hence the C library.
 *
 * @module
 */
import { OwnedFd } from "./file.ts";
import { libc } from "./libc.ts";
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from "./linux/socket.ts";

/** Room for the path in struct sockaddr_un. */
const PATH_BYTES = 108;

/**
 * A struct sockaddr_un (unix(7)) of a socket named as in `NOTIFY_SOCKET`: a path, or `@` and a name in
 * the abstract namespace.
 *
 * @returns undefined if it is neither or too long.
 */
export function unixAddress(name: string): Uint8Array<ArrayBuffer> | undefined {
  const abstract = name.startsWith("@");
  if (!abstract && !name.startsWith("/")) return undefined;
  const path = new TextEncoder().encode(name);
  // An abstract name is as long as the address says; a path ends with a zero.
  if (path.length + (abstract ? 0 : 1) > PATH_BYTES) return undefined;
  const address = new Uint8Array(2 + path.length + (abstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, 2);
  if (abstract) address[2] = 0;
  return address;
}

/**
 * Sends a state to the service manager: `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`, several
 * with newlines between. It never blocks and never throws: the network matters more than its supervisor.
 *
 * @returns whether it was delivered; false if there is nobody to tell (`NOTIFY_SOCKET` is not set).
 */
export function sdNotify(state: string): boolean {
  const name = Deno.env.get("NOTIFY_SOCKET");
  const address = name ? unixAddress(name) : undefined;
  if (address === undefined) return false;
  const c = libc();
  const fd = c.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  using socket = new OwnedFd(fd);
  const bytes = new TextEncoder().encode(state);
  const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  const sent = c.sendto(socket.fd, bytes, BigInt(bytes.length), flags, address, address.length);
  return Number(sent) === bytes.length;
}

/**
 * How often the service manager wants to hear `WATCHDOG=1` (sd_watchdog_enabled(3)).
 *
 * @returns the interval in milliseconds after which it gives up on us, of which half is a good time to
 * send; undefined if it does not watch this process.
 */
export function watchdogInterval(): number | undefined {
  const microseconds = Number(Deno.env.get("WATCHDOG_USEC"));
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return undefined;
  const pid = Deno.env.get("WATCHDOG_PID");
  if (pid !== undefined && Number(pid) !== Deno.pid) return undefined;
  return microseconds / 1000;
}
