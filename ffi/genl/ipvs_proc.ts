/**
 * /proc/net/ip_vs: all virtual and real servers with their connections in one read, which generic netlink does not offer. It shows
 * no thresholds, no scheduler flags, and one-packet scheduling for IPv4 only.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type Family, formatAddress, parseAddress } from "../ip.ts";
import { closeFile, openFile } from "../file.ts";
import { cString, errno, libc, prepareErrno, SystemError } from "../libc.ts";
import { O_RDONLY } from "../linux/fcntl.ts";

/** A real server as the file shows it. */
export interface ProcDest {
  /** 4 or 6. */
  readonly family: Family;
  /** IPv4 or IPv6. */
  readonly address: string;
  /** In host order. */
  readonly port: number;
  /** `Masq`, `Local`, `Tunnel`, `Route` or `Bypass`. */
  readonly forward: string;
  /** Share of new connections; 0 takes none. */
  readonly weight: number;
  /** Connections that are established. */
  readonly activeConnections: number;
  /** Connections in any other state. */
  readonly inactiveConnections: number;
}

/** A virtual server as the file shows it. */
export interface ProcService {
  /** `TCP`, `UDP`, `SCTP`; `FWM` for one by firewall mark. */
  readonly protocol: string;
  /** 4 or 6. */
  readonly family: Family;
  /** Empty for one by firewall mark. */
  readonly address: string;
  /** The port, or the firewall mark. */
  readonly port: number;
  /** Its name, `rr`. */
  readonly scheduler: string;
  /** Never set for IPv6, whatever is true. */
  readonly onePacket: boolean;
  /** Persistence in ticks of the kernel (CONFIG_HZ a second); 0 without. */
  readonly persistent: number;
  /** Prefix length for persistence, 0 without. */
  readonly netmask: number;
  /** Its real servers. */
  readonly dests: readonly ProcDest[];
}

const PATH = "/proc/thread-self/net/ip_vs";

/** stdio.h: nothing is kept in the stream, so that each reading is the kernel's. */
const _IONBF = 2;

/**
 * The file, kept open: it shows the network namespace in which it was opened, whichever the thread is in later.
 *
 * The kernel gives a page a read, hundreds for a thousand services; fread() puts them together without coming back in between.
 */
export class IpvsProc implements Disposable {
  readonly #fd: number;
  #stream: Deno.PointerValue;
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;
  #before = new Uint8Array(64 * 1024);
  #beforeLength = -1;
  #digest = 0;

  private constructor(fd: number) {
    this.#fd = fd;
    prepareErrno();
    this.#stream = libc().fdopen(fd, cString("r"));
    if (this.#stream === null) {
      const error = new SystemError(errno(), "open", PATH);
      closeFile(fd);
      throw error;
    }
    libc().setvbuf(this.#stream, null, _IONBF, 0n);
  }

  /**
   * Opens the file.
   *
   * @throws {SystemError} ENOENT if ip_vs is not loaded.
   */
  static open(): IpvsProc {
    return new IpvsProc(openFile(PATH, O_RDONLY));
  }

  /**
   * Reads everything.
   *
   * @returns a number that is the same as long as servers, weights and settings are; connections do not count.
   * @throws {SystemError} if the file cannot be read.
   */
  read(): number {
    [this.#bytes, this.#before] = [this.#before, this.#bytes];
    this.#beforeLength = this.#length;
    this.#length = 0;
    const { clearerr, fread, ferror } = libc();
    libc().lseek(this.#fd, 0n, 0);
    clearerr(this.#stream);
    for (;;) {
      const free = this.#bytes.subarray(this.#length);
      const count = Number(fread(free, 1n, BigInt(free.length), this.#stream));
      const failed = count < free.length && ferror(this.#stream) !== 0;
      if (failed) throw new SystemError(errno(), "read", PATH);
      this.#length += count;
      if (count < free.length) break;
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const now = this.#bytes.subarray(0, this.#length);
    if (
      this.#length !== this.#beforeLength ||
      !sameServers(now, this.#before.subarray(0, this.#length))
    ) this.#digest = digestOf(now, now.length);
    return this.#digest;
  }

  /** What was read last. */
  parse(): ProcService[] {
    return parseIpvs(new TextDecoder().decode(this.#bytes.subarray(0, this.#length)));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    if (this.#stream !== null) libc().fclose(this.#stream);
    this.#stream = null;
  }
}

const NEWLINE = 10;
const SPACE = 32;
const MINUS = 45;
/** Two numbers of ten digits, padded, and a blank: no int is longer. */
const COUNTERS = 21;
/** Bytes below which looking at each is no dearer than comparing halves. */
const SMALL = 512;

/**
 * Whether two readings of the same length differ in connections at most. Costs a comparison of memory, and a look at each byte only
 * near what differs: that is several times faster than {@linkcode digestOf} even if all counters changed.
 */
export function sameServers(now: Uint8Array, before: Uint8Array): boolean {
  /** Compares from one place to another; a line that differs is looked at whole, so the next may begin beyond `to`. */
  const compare = (from: number, to: number): boolean => {
    if (Buffer.compare(now.subarray(from, to), before.subarray(from, to)) === 0) return true;
    if (to - from > SMALL) {
      const middle = (from + to) >> 1;
      return compare(from, middle) && compare(middle, to);
    }
    for (let at = from; at < to; at++) {
      if (now[at] === before[at]) continue;
      const end = now.indexOf(NEWLINE, at);
      if (end < 0 || end !== before.indexOf(NEWLINE, at) || at < end - COUNTERS) return false;
      const start = now.lastIndexOf(NEWLINE, at) + 1;
      if (now[start] !== SPACE || now[start + 2] !== MINUS) return false;
      at = end;
    }
    return true;
  };
  return compare(0, now.length);
}

/** A hash of all but the connections' numbers, which are the last two columns of a real server's line. */
export function digestOf(bytes: Uint8Array, length: number): number {
  let hash = 0x811c9dc5;
  for (let start = 0; start < length;) {
    let end = bytes.indexOf(NEWLINE, start);
    if (end < 0 || end > length) end = length;
    let stop = end;
    if (bytes[start] === SPACE && bytes[start + 2] === MINUS) {
      for (let column = 0; column < 2; column++) {
        while (stop > start && bytes[stop - 1] === SPACE) stop--;
        while (stop > start && bytes[stop - 1] !== SPACE) stop--;
      }
    }
    for (let at = start; at < stop; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    hash = Math.imul(hash ^ NEWLINE, 0x01000193);
    start = end + 1;
  }
  return hash >>> 0;
}

/** Reads the text of the file. Lines that are not understood are passed over. */
export function parseIpvs(text: string): ProcService[] {
  const services: ProcService[] = [];
  let dests: ProcDest[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("  ->")) {
      const dest = parseDest(line);
      if (dest !== undefined) dests.push(dest);
    } else {
      dests = [];
      const service = parseService(line, dests);
      if (service !== undefined) services.push(service);
    }
  }
  return services;
}

function parseService(line: string, dests: ProcDest[]): ProcService | undefined {
  const [protocol, where, scheduler, ...rest] = line.split(/ +/);
  if (protocol === undefined || where === undefined || scheduler === undefined) return undefined;
  const endpoint = protocol === "FWM"
    ? { family: 4 as Family, address: "", port: parseInt(where, 16) }
    : parseEndpoint(where);
  if (endpoint === undefined || Number.isNaN(endpoint.port)) return undefined;
  const persistent = rest.indexOf("persistent");
  return {
    protocol,
    ...endpoint,
    scheduler,
    onePacket: rest.includes("ops"),
    persistent: persistent < 0 ? 0 : Number(rest[persistent + 1]),
    netmask: persistent < 0
      ? 0
      : netmaskLength(endpoint.family, parseInt(rest[persistent + 2] ?? "0", 16)),
    dests,
  };
}

function parseDest(line: string): ProcDest | undefined {
  const [, , where, forward, weight, active, inactive] = line.split(/ +/);
  const endpoint = parseEndpoint(where ?? "");
  if (endpoint === undefined || forward === undefined || inactive === undefined) return undefined;
  return {
    ...endpoint,
    forward,
    weight: Number(weight),
    activeConnections: Number(active),
    inactiveConnections: Number(inactive),
  };
}

const four = new Uint8Array(4);

/** `0A600001:0050` or `[fd00:0000:…:0001]:0050`. */
function parseEndpoint(
  text: string,
): { family: Family; address: string; port: number } | undefined {
  if (text.startsWith("[")) {
    const end = text.indexOf("]:");
    if (end < 0) return undefined;
    const address = formatAddress(parseAddress(text.slice(1, end)), 0, 6);
    return { family: 6, address, port: parseInt(text.slice(end + 2), 16) };
  }
  if (!/^[0-9A-F]{8}:[0-9A-F]{4}$/.test(text)) return undefined;
  const value = parseInt(text.slice(0, 8), 16);
  four[0] = value >>> 24;
  four[1] = value >>> 16;
  four[2] = value >>> 8;
  four[3] = value;
  return { family: 4, address: formatAddress(four, 0, 4), port: parseInt(text.slice(9), 16) };
}

/** The kernel prints an IPv6 prefix length as if it were an address in network order. */
function netmaskLength(family: Family, value: number): number {
  if (family === 6) return value >>> 24;
  let length = 0;
  for (let bits = value; bits !== 0; bits >>>= 1) length += bits & 1;
  return length;
}
