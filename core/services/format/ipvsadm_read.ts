/**
 * Reads the rules that `ipvsadm -S` writes, with names or numbers.
 *
 * @module
 */
import { addressBits, addressToNumber, canonicalAddress, familyOf } from "../../base/address.ts";
import { KnetError } from "../../base/error.ts";
import { checkTimeouts } from "../validate.ts";
import { ServiceError } from "../service_error.ts";
import {
  type Protocol,
  type Scheduler,
  type SchedulerFlag,
  type ServiceTimeouts,
} from "../service.ts";
import type { ServiceRequest } from "../request.ts";
import { type Imported, importedService, type ServiceDraft } from "./imported.ts";
import { type IpvsadmLine, type LineOptions, parseIpvsadmLine } from "./ipvsadm_line.ts";

/** Looks names up as ipvsadm does; undefined if there is no such name. */
export interface NameResolver {
  host(name: string): Promise<string | undefined>;
  /** /etc/services. */
  port(name: string, protocol: Protocol): number | undefined;
}

/** Seconds; what ipvsadm takes for `-p` alone. */
const PERSISTENT = 360;

/** The prefix length of `255.255.255.0`, or of a number for IPv6. */
export function prefixLengthOf(mask: string, family: 4 | 6): number {
  if (family === 6 || !mask.includes(".")) {
    const length = /^[0-9]{1,3}$/.test(mask) ? Number(mask) : NaN;
    if (length >= 1 && length <= addressBits(family)) return length;
    throw new SyntaxError(`"${mask}" is not a prefix length of IPv${family}`);
  }
  const bits = addressToNumber(mask).toString(2).padStart(32, "0");
  if (!/^1+0*$/.test(bits)) throw new SyntaxError(`"${mask}" is not a netmask`);
  return bits.lastIndexOf("1") + 1;
}

function wholeNumber(text: string, what: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new SyntaxError(`"${text}" is not ${what}`);
}

async function endpoint(
  text: string,
  protocol: Protocol,
  resolver: NameResolver,
): Promise<{ address: string; port?: number }> {
  const match = /^\[([^\]]+)\](?::(.+))?$/.exec(text) ?? /^([^:]+)(?::([^:]+))?$/.exec(text);
  if (match === null) throw new SyntaxError(`"${text}" is not an address with port`);
  const [, host, service] = match;
  // Only what looks like an address is read as one: "web" is a name, "10.0.0.300" a mistake.
  const address = /^[0-9.]+$|:/.test(host!) ? canonicalAddress(host!) : await resolver.host(host!);
  if (address === undefined) throw new SyntaxError(`the host name "${host}" has no address`);
  if (service === undefined) return { address };
  const port = /^[0-9]+$/.test(service) ? Number(service) : resolver.port(service, protocol);
  if (port === undefined) {
    throw new SyntaxError(`/etc/services has no "${service}" of ${protocol}`);
  }
  return { address, port };
}

function serviceRequest(options: LineOptions, family: 4 | 6): ServiceRequest {
  return {
    // As ipvsadm has it.
    scheduler: (options.scheduler ?? "wlc") as Scheduler,
    schedulerFlags: (options.flags?.split(",") ?? []) as SchedulerFlag[],
    persistent: Object.hasOwn(options, "persistent")
      ? wholeNumber(options.persistent ?? String(PERSISTENT), "a number of seconds")
      : 0,
    persistenceNetmask: options.netmask === undefined
      ? addressBits(family)
      : prefixLengthOf(options.netmask, family),
    onePacket: options.onePacket ?? false,
  };
}

/** Flags of schedulers that ipvsadm names by number. */
function namedFlags(request: ServiceRequest): ServiceRequest {
  const names: Record<string, string> = {
    "flag-1": `${request.scheduler}-fallback`,
    "flag-2": `${request.scheduler}-port`,
  };
  return {
    ...request,
    schedulerFlags: (request.schedulerFlags ?? []).map((flag) =>
      (names[flag] ?? flag) as SchedulerFlag
    ),
  };
}

class Reader {
  readonly #drafts = new Map<string, ServiceDraft>();
  readonly #resolver: NameResolver;
  /** Lines by the firewall marks that they are about. */
  readonly #marks = new Map<number, number[]>();
  #timeouts: ServiceTimeouts | undefined;

  constructor(resolver: NameResolver) {
    this.#resolver = resolver;
  }

  async take(parsed: IpvsadmLine, line: number): Promise<void> {
    if (parsed.command === "set") {
      checkTimeouts(parsed.timeouts);
      this.#timeouts = parsed.timeouts;
      return;
    }
    if (parsed.command === "mark") {
      const { mark } = parsed;
      const lines = this.#marks.get(mark) ?? [];
      lines.push(line);
      this.#marks.set(mark, lines);
      return;
    }
    const { protocol } = parsed.target;
    const { address: vip, port } = await endpoint(parsed.target.endpoint, protocol, this.#resolver);
    if (port === undefined || port === 0) {
      throw new SyntaxError("knet has no services for all ports: give the port");
    }
    const key = `${vip} ${port} ${protocol}`;
    const known = this.#drafts.get(key);
    if (parsed.command === "add-service") {
      if (known !== undefined) {
        throw new SyntaxError(`the virtual server is there already, from line ${known.line}`);
      }
      const request = namedFlags(serviceRequest(parsed.options, familyOf(vip)));
      this.#drafts.set(key, { line, vip, port, protocol, request, servers: [] });
      return;
    }
    if (known === undefined) {
      throw new SyntaxError("there is no virtual server of this address before it: -A comes first");
    }
    await this.#takeServer(known, parsed.options, line);
  }

  async #takeServer(draft: ServiceDraft, options: LineOptions, line: number): Promise<void> {
    const { address, port } = await endpoint(options.server!, draft.protocol, this.#resolver);
    const forward = options.forward ?? "dr";
    if (draft.forward !== undefined && draft.forward !== forward) {
      throw new SyntaxError(
        `the virtual server forwards by ${draft.forward} and ${forward}: a service of knet has one way`,
      );
    }
    draft.forward = forward;
    draft.servers.push({
      line,
      request: {
        address,
        // A port of 0 is the service's as well.
        port: port || draft.port,
        weight: wholeNumber(options.weight ?? "1", "a weight"),
        ...(options.upper !== undefined && { upper: wholeNumber(options.upper, "a threshold") }),
        ...(options.lower !== undefined && { lower: wholeNumber(options.lower, "a threshold") }),
      },
    });
  }

  finish(refuse: (line: number, state: string) => KnetError): Imported {
    const services = [...this.#drafts.values()].map((draft) => importedService(draft, refuse));
    const warnings = [...this.#marks].map(([mark, lines]) =>
      `Left out the rules of firewall mark ${mark} in ${lines.length === 1 ? "line" : "lines"} ${
        lines.join(", ")
      }: knet has no firewall marks`
    );
    return { services, warnings, ...(this.#timeouts && { timeouts: this.#timeouts }) };
  }
}

/**
 * Reads rules.
 *
 * @param source What to call the text in messages.
 * @throws {KnetError} exit code 2, naming the line.
 */
export async function readIpvsadm(
  text: string,
  source: string,
  resolver: NameResolver,
): Promise<Imported> {
  const refuse = (line: number, state: string) =>
    new KnetError(`Cannot read ipvsadm's rules from ${source}: line ${line}: ${state}`, {
      exitCode: 2,
      remedy: "Give what ipvsadm -S -n or ipvsadm-save prints",
    });
  const reader = new Reader(resolver);
  for (const [n, line] of text.split("\n").entries()) {
    try {
      const parsed = parseIpvsadmLine(line);
      if (parsed !== undefined) await reader.take(parsed, n + 1);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof ServiceError)) throw error;
      throw refuse(n + 1, error.message.charAt(0).toLowerCase() + error.message.slice(1));
    }
  }
  return reader.finish(refuse);
}
