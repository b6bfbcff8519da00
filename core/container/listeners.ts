/**
 * Who listens on this host: a published port would take from them what is for them.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/file.ts";
import { SystemError } from "../../ffi/libc.ts";
import { openUdp } from "../../ffi/udp_socket.ts";
import { addressToNumber } from "../base/address.ts";
import { type PortPlace, portsOverlap } from "./port_request.ts";

/** A socket that takes what comes to a port. */
export interface Listener extends PortPlace {
  /** It is at all addresses of IPv6, and so at those of IPv4 unless it was told otherwise, which is not to be seen. */
  readonly six: boolean;
  /** The socket's number; 0 if it is the kernel's own. */
  readonly inode: number;
}

/** States in /proc/net/tcp and udp (net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE, which a UDP socket without a peer is in. */
const STATES = { tcp: "0A", udp: "07" } as const;

/** The port is parsed first: a host may have ten thousands of connections. */
const LINE =
  /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) (?:\S+ +){5}(\d+) /;

/** Parses /proc/net/tcp, tcp6, udp or udp6. Pure, for little-endian machines, as all are that knet runs on. */
export function parseSockets(text: string, protocol: "tcp" | "udp"): Listener[] {
  const found: Listener[] = [];
  for (const line of text.split("\n")) {
    const [, local, port, state, inode] = LINE.exec(line) ?? [];
    if (local === undefined || port === undefined || state !== STATES[protocol]) continue;
    const address = addressOf(local);
    if (address === undefined) continue;
    found.push({
      protocol,
      hostPort: parseInt(port, 16),
      ...(address !== "any" && address !== "six" && { hostIp: address }),
      six: address === "six",
      inode: Number(inode),
    });
  }
  return found;
}

/** `any`, `six` for all addresses of IPv6, or an IPv4 address; undefined for a single one of IPv6. */
function addressOf(hex: string): string | undefined {
  if (hex.length === 32) {
    if (/^0+$/.test(hex)) return "six";
    // Mapped: ::ffff:0:0/96.
    const [, mapped] = /^0{16}FFFF0000([0-9A-F]{8})$/.exec(hex) ?? [];
    return mapped === undefined ? undefined : addressOf(mapped);
  }
  const bytes = hex.match(/../g)!.map((byte) => parseInt(byte, 16)).reverse();
  const address = bytes.join(".");
  return address === "0.0.0.0" ? "any" : address;
}

/** Parses /proc/net/sctp/eps: ends, each with all its addresses. Pure. */
export function parseEndpoints(text: string): Listener[] {
  return text.split("\n").slice(1).flatMap((line) => {
    // ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS; SST 10 is TCP_LISTEN.
    const [, , , state, , port, , inode, ...addresses] = line.trim().split(/ +/);
    if (state !== "10" || port === undefined) return [];
    return addresses.filter((one) => !one.includes(":") || one === "::").map((address) => ({
      protocol: "sctp" as const,
      hostPort: Number(port),
      ...(address !== "0.0.0.0" && address !== "::" && { hostIp: address }),
      six: address === "::",
      inode: Number(inode),
    }));
  });
}

/** All who listen by these protocols, in the namespace that this thread is in. */
export function readListeners(protocols: ReadonlySet<PortPlace["protocol"]>): Listener[] {
  const read = (name: string) => readSmallFile(`/proc/thread-self/net/${name}`) ?? "";
  return [
    ...(["tcp", "udp"] as const).filter((one) => protocols.has(one)).flatMap((protocol) => [
      ...parseSockets(read(protocol), protocol),
      ...parseSockets(read(`${protocol}6`), protocol),
    ]),
    ...(protocols.has("sctp") ? parseEndpoints(read("sctp/eps")) : []),
  ];
}

/**
 * Who has a port already.
 *
 * @param listeners as {@linkcode readListeners} found them.
 */
export function listenerAt(port: PortPlace, listeners: readonly Listener[]): Listener | undefined {
  const holders = listeners.filter((one) => portsOverlap(one, port));
  const four = holders.find((one) => !one.six);
  if (four !== undefined) return four;
  const [six] = holders;
  return six !== undefined && isTaken(port) ? six : undefined;
}

/** Tells whether a socket of IPv6 has the port in IPv4, too: then nobody else can have it. */
function isTaken({ protocol, hostPort: port, hostIp: hostname = "0.0.0.0" }: PortPlace): boolean {
  try {
    if (protocol === "tcp") Deno.listen({ hostname, port }).close();
    else if (protocol === "udp") {
      const address = Number(addressToNumber(hostname));
      using _socket = openUdp(address, port, { buffer: 4096, bundles: false });
    }
    return protocol === "sctp";
  } catch {
    return true;
  }
}

/** A process that has a socket. */
export interface SocketOwner {
  readonly pid: string;
  /** What it is called; empty if that is not to be seen. */
  readonly name: string;
}

/** In words: `process 812 (nginx)`. */
export function ownerText(inode: number, owner: SocketOwner | undefined): string {
  if (inode === 0) return "the kernel";
  if (owner === undefined) return "somebody on this host";
  return `process ${owner.pid}${owner.name === "" ? "" : ` (${owner.name})`}`;
}

/** The process that has a socket; undefined if it is not to be seen, or the kernel's own. */
export function ownerOfSocket(inode: number): SocketOwner | undefined {
  if (inode === 0) return undefined;
  const link = `socket:[${inode}]`;
  try {
    for (const { name: pid } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(pid) || !hasOpen(pid, link)) continue;
      return { pid, name: readSmallFile(`/proc/${pid}/comm`)?.trim() ?? "" };
    }
  } catch {
    // Without the right to look.
  }
  return undefined;
}

function hasOpen(pid: string, link: string): boolean {
  try {
    for (const { name: fd } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (readLink(`/proc/${pid}/fd/${fd}`) === link) return true;
    }
  } catch (error) {
    if (error instanceof SystemError || error instanceof Error) return false; // It ended, or is closed to us.
    throw error;
  }
  return false;
}
