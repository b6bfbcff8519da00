/**
 * Ports that are to lead into a container, as people and runtimes name them. Pure.
 *
 * @module
 */
import { canonicalAddress, familyOf } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import type { PortMapping } from "./record.ts";

/** More are not published by one container: each is an entry in the kernel's table and in the book. */
const MOST = 4096;

/** A port, or several that follow each other, as a runtime asks for them. */
export interface PortRequest {
  /** Of the host. */
  readonly hostPort: number;
  readonly containerPort: number;
  /** `tcp` if absent or empty; any case. */
  readonly protocol?: string | undefined;
  /** Address of the host; absent, empty or 0.0.0.0: all of them. */
  readonly hostIp?: string | undefined;
  /** How many ports, both counted up; 1 if absent. */
  readonly range?: number | undefined;
}

function refusal(what: string, state: string): KnetError {
  return new KnetError(`Cannot publish ${what}: ${state}`, {
    exitCode: 2,
    remedy:
      "Write [IP:]HOSTPORT:PORT[/tcp|udp|sctp], such as 8080:80 or 127.0.0.1:5300-5309:5300-5309/udp",
  });
}

/**
 * Reads what `--publish` says: `[IP:]HOSTPORT:PORT[/PROTOCOL]`, with ranges of one length on both sides.
 *
 * @throws {KnetError} exit code 2 if it is none.
 */
export function parsePublish(text: string): PortMapping[] {
  const what = `"${text}"`;
  const [, rest = "", protocol] = /^([^]*?)(?:\/([^/]*))?$/.exec(text) ?? [];
  if (protocol === "") throw refusal(what, "the protocol is missing");
  const parts = /^(?:(?:\[(?<six>[^\]]*)\]|(?<four>[^:[\]]*)):)?(?<host>[^:]*):(?<inside>[^:]*)$/
    .exec(rest)?.groups;
  if (parts === undefined) {
    throw refusal(what, rest.includes(":") ? "it has another form" : "the host's port is missing");
  }
  const { host = "", inside = "", four } = parts;
  const six = parts["six"];
  if (four === "") throw refusal(what, "the address is missing");
  const from = portsOf(what, host, "the host's port");
  const to = portsOf(what, inside, "the container's port");
  if (from.count !== to.count) {
    throw refusal(what, `${host} and ${inside} are not equally many ports`);
  }
  return expandPorts([{
    hostPort: from.first,
    containerPort: to.first,
    range: from.count,
    protocol,
    hostIp: six ?? four,
  }]);
}

function portsOf(what: string, text: string, which: string): { first: number; count: number } {
  const [, first, last = first] = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text) ?? [];
  if (first === undefined) {
    throw refusal(what, text === "" ? `${which} is missing` : `${which} "${text}" is no port`);
  }
  const count = Number(last) - Number(first) + 1;
  if (count < 1) throw refusal(what, `${text} ends before it begins`);
  return { first: Number(first), count };
}

/**
 * Ports one by one, checked: each once, with addresses and protocols in one writing.
 *
 * @throws {KnetError} exit code 2 if one cannot be published, or two of them are at one place.
 */
export function expandPorts(requests: readonly PortRequest[]): PortMapping[] {
  const ports: PortMapping[] = [];
  for (const request of requests) {
    const { hostPort, containerPort, range = 1 } = request;
    const what = `port ${hostPort}`;
    const protocol = protocolOf(what, request.protocol);
    const hostIp = hostIpOf(what, request.hostIp);
    if (!Number.isInteger(range) || range < 1 || ports.length + range > MOST) {
      throw refusal(what, `a container publishes at most ${MOST} ports`);
    }
    for (let at = 0; at < range; at++) {
      for (const port of [hostPort + at, containerPort + at]) {
        if (!Number.isInteger(port) || port < 1 || port > 65535) {
          throw refusal(`port ${port}`, "it is not between 1 and 65535");
        }
      }
      ports.push({
        hostPort: hostPort + at,
        containerPort: containerPort + at,
        protocol,
        ...(hostIp !== undefined && { hostIp }),
      });
    }
  }
  const byPort = new Map<string, PortMapping[]>();
  const once: PortMapping[] = [];
  for (const port of ports) {
    const key = `${port.protocol} ${port.hostPort}`;
    const before = byPort.get(key) ?? [];
    // Said twice is said once.
    if (
      before.some((one) => one.hostIp === port.hostIp && one.containerPort === port.containerPort)
    ) continue;
    const other = before.find((one) => portsOverlap(one, port));
    if (other !== undefined) {
      throw refusal(portText(port), `it is to lead to port ${other.containerPort} as well`);
    }
    byPort.set(key, [...before, port]);
    once.push(port);
  }
  return once;
}

function protocolOf(what: string, text: string | undefined): PortMapping["protocol"] {
  const word = (text || "tcp").toLowerCase();
  if (word === "tcp" || word === "udp" || word === "sctp") return word;
  throw refusal(what, `"${text}" is no protocol with ports that knet knows`);
}

function hostIpOf(what: string, text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  let address;
  try {
    address = canonicalAddress(text);
  } catch {
    throw refusal(what, `"${text}" is no address`);
  }
  if (familyOf(address) !== 4) {
    throw refusal(`${what} at ${text}`, "ports are published at IPv4 addresses only");
  }
  return address === "0.0.0.0" ? undefined : address;
}

/** What a port is at. */
export type PortPlace = Pick<PortMapping, "hostIp" | "hostPort" | "protocol">;

/** Whether one packet could be for both: a port at all addresses takes it at each of them. */
export function portsOverlap(a: PortPlace, b: PortPlace): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort &&
    (a.hostIp === undefined || b.hostIp === undefined || a.hostIp === b.hostIp);
}

/** A port as messages name it: `8080/tcp`, `127.0.0.1:8080/tcp`. */
export function portText({ hostIp, hostPort, protocol }: PortPlace): string {
  return `${hostIp === undefined ? "" : `${hostIp}:`}${hostPort}/${protocol}`;
}

/** Where ports lead, as tables show it, those that follow each other as a range: `8080->80/tcp`, `8000-8009->80-89/tcp`. */
export function mappingTexts(ports: readonly PortMapping[]): string[] {
  const texts: string[] = [];
  for (let first = 0; first < ports.length;) {
    const from = ports[first]!;
    let last = first;
    for (let next; (next = ports[last + 1]) !== undefined; last++) {
      const step = last + 1 - first;
      const follows = next.hostPort === from.hostPort + step && next.protocol === from.protocol &&
        next.containerPort === from.containerPort + step && next.hostIp === from.hostIp;
      if (!follows) break;
    }
    const { hostIp, hostPort, containerPort, protocol } = from;
    const more = last - first;
    const to = (port: number) => more === 0 ? `${port}` : `${port}-${port + more}`;
    texts.push(
      `${hostIp === undefined ? "" : `${hostIp}:`}${to(hostPort)}->${
        to(containerPort)
      }/${protocol}`,
    );
    first = last + 1;
  }
  return texts;
}
