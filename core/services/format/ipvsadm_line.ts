/**
 * One line of ipvsadm's rules in its parts, names not yet looked up.
 *
 * @module
 */
import type { ServiceTimeouts } from "../service.ts";
import type { Forward, Protocol } from "../service.ts";

/** What a line says. */
export type IpvsadmLine =
  | { readonly command: "add-service"; readonly target: Target; readonly options: LineOptions }
  | { readonly command: "add-server"; readonly target: Target; readonly options: LineOptions }
  | { readonly command: "set"; readonly timeouts: ServiceTimeouts }
  /** Of a virtual server that knet has no place for, whatever else the line says. */
  | { readonly command: "mark"; readonly mark: number };

/** The virtual server that a line is about, as it is written: `web.example:http`. */
export interface Target {
  readonly protocol: Protocol;
  readonly endpoint: string;
}

/** What options a line may have. */
export interface LineOptions {
  scheduler?: string;
  /** Undefined as a value: `-p` without a number. */
  persistent?: string | undefined;
  netmask?: string;
  flags?: string;
  onePacket?: boolean;
  server?: string;
  forward?: Forward;
  weight?: string;
  upper?: string;
  lower?: string;
}

const LONG: Record<string, string> = {
  "--add-service": "-A",
  "--add-server": "-a",
  "--tcp-service": "-t",
  "--udp-service": "-u",
  "--fwmark-service": "-f",
  "--scheduler": "-s",
  "--persistent": "-p",
  "--netmask": "-M",
  "--real-server": "-r",
  "--gatewaying": "-g",
  "--ipip": "-i",
  "--masquerading": "-m",
  "--weight": "-w",
  "--u-threshold": "-x",
  "--l-threshold": "-y",
  "--ops": "-o",
  // As old versions of ipvsadm save it.
  ops: "-o",
  "--sched-flags": "-b",
};

const PROTOCOLS: Record<string, Protocol> = { "-t": "tcp", "-u": "udp", "--sctp-service": "sctp" };
const FORWARDS: Record<string, Forward> = { "-g": "dr", "-i": "tunnel", "-m": "nat" };
/** Options of a service and of a server that take a value. */
const SERVICE_VALUES = { "-s": "scheduler", "-M": "netmask", "-b": "flags" } as const;
const SERVER_VALUES = { "-r": "server", "-w": "weight", "-x": "upper", "-y": "lower" } as const;

/** Splits `--weight=3` in two, and gives options their short names. */
function tokens(line: string): string[] {
  return line.trim().split(/\s+/).flatMap((word) => {
    const match = /^(--[a-z-]+)=(.*)$/.exec(word);
    return match === null ? [word] : [match[1]!, match[2]!];
  }).map((word) => LONG[word] ?? word);
}

/**
 * Reads a line.
 *
 * @returns Undefined for an empty line and for a comment.
 * @throws {SyntaxError} if it is none of ipvsadm's, or says what knet cannot keep.
 */
export function parseIpvsadmLine(line: string): IpvsadmLine | undefined {
  if (/^\s*(?:#|$)/.test(line)) return undefined;
  const [command, ...rest] = tokens(line);
  const mark = command === "-A" || command === "-a" ? readMark(rest) : undefined;
  if (mark !== undefined) return { command: "mark", mark };
  switch (command) {
    case "-A":
      return { command: "add-service", ...readOptions(rest, command) };
    case "-a": {
      const read = readOptions(rest, command);
      if (read.options.server === undefined) {
        throw new SyntaxError("there is no real server: give -r");
      }
      return { command: "add-server", ...read };
    }
    case "--set": {
      const [tcp, tcpfin, udp] = rest.map((word) => /^[0-9]+$/.test(word) ? Number(word) : NaN);
      if (rest.length !== 3 || Number.isNaN(tcp! + tcpfin! + udp!)) {
        throw new SyntaxError("--set needs three numbers of seconds: tcp tcpfin udp");
      }
      return { command: "set", timeouts: { tcp: tcp!, tcpfin: tcpfin!, udp: udp! } };
    }
    default:
      throw new SyntaxError(`"${command}" is not a rule: rules begin with -A, -a or --set`);
  }
}

/** The firewall mark that a line is about, undefined if it is about an address. */
function readMark(words: readonly string[]): number | undefined {
  const at = words.indexOf("-f");
  if (at < 0) return undefined;
  const text = words[at + 1];
  if (text === undefined) throw new SyntaxError('"-f" needs a value');
  if (!/^[0-9]{1,10}$/.test(text)) throw new SyntaxError(`"${text}" is not a firewall mark`);
  if (words.some((word) => Object.hasOwn(PROTOCOLS, word))) throw twoServers();
  return Number(text);
}

const twoServers = () => new SyntaxError("there are two virtual servers");

function readOptions(
  words: readonly string[],
  command: "-A" | "-a",
): { target: Target; options: LineOptions } {
  const options: LineOptions = {};
  let target: Target | undefined;
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const value = () => {
      const next = words[++at];
      if (next === undefined) throw new SyntaxError(`"${word}" needs a value`);
      return next;
    };
    if (Object.hasOwn(PROTOCOLS, word)) {
      if (target !== undefined) throw twoServers();
      target = { protocol: PROTOCOLS[word]!, endpoint: value() };
    } else if (!readOption(word, value, words[at + 1], command, options)) {
      throw new SyntaxError(unusable(word, command));
    } else if (word === "-p" && options.persistent !== undefined) at++;
  }
  if (target === undefined) {
    throw new SyntaxError("there is no virtual server: give -t, -u or --sctp-service");
  }
  return { target, options };
}

/** Takes one option; false if the command has no such one. */
function readOption(
  word: string,
  value: () => string,
  next: string | undefined,
  command: "-A" | "-a",
  options: LineOptions,
): boolean {
  if (command === "-A") {
    const name = SERVICE_VALUES[word as keyof typeof SERVICE_VALUES];
    if (name !== undefined) options[name] = value();
    else if (word === "-o") options.onePacket = true;
    // The timeout may be left out.
    else if (word === "-p") options.persistent = next?.startsWith("-") ? undefined : next;
    else return false;
    return true;
  }
  const name = SERVER_VALUES[word as keyof typeof SERVER_VALUES];
  if (name !== undefined) options[name] = value();
  else if (Object.hasOwn(FORWARDS, word)) options.forward = FORWARDS[word]!;
  else if (word === "--tun-type") {
    const type = value();
    if (type !== "ipip") {
      throw new SyntaxError(`tunnels of type "${type}" are not among what knet has: it has ipip`);
    }
  } else return false;
  return true;
}

function unusable(word: string, command: string): string {
  switch (word) {
    case "--pe":
      return "knet has no persistence engines";
    default:
      return `"${word}" is no option of ${command} that knet knows`;
  }
}
