/**
 * Checks of values: what an option or a word may be.
 *
 * Each check throws a RangeError or SyntaxError that names the value and what is allowed; the parser puts the
 * option's name before it. `core/base/address.ts` is loaded only when an address is there to be checked.
 *
 * @module
 */
import type { PortMapping } from "../core/container/record.ts";
import { didYouMean } from "./suggest.ts";

/** Accepts any text. */
export function text(input: string): string {
  return input;
}

/** Accepts a whole number in a range, both ends included. */
export function integer(what: string, min: number, max: number): (input: string) => number {
  return (input) => {
    const number = Number(input);
    if (!/^[0-9]+$/.test(input) || number < min || number > max) {
      throw new RangeError(`"${input}" is not ${what}: give a whole number from ${min} to ${max}`);
    }
    return number;
  };
}

/** Accepts one of some words. */
export function choice<const Word extends string>(
  what: string,
  words: readonly Word[],
): (input: string) => Word {
  return (input) => {
    const found = words.find((word) => word === input);
    if (found !== undefined) return found;
    const list = words.map((word) => `"${word}"`).join(", ").replace(/, ([^,]*)$/, " or $1");
    const meant = didYouMean(input, words, { before: " (", after: ")" });
    throw new RangeError(`"${input}" is not ${what}: give ${list}${meant}`);
  };
}

/** Accepts a network in prefix notation, without bits in its host part; yields its canonical text. */
export async function prefix(input: string): Promise<string> {
  const { formatPrefix, parsePrefix } = await import("../core/base/address.ts");
  return formatPrefix(parsePrefix(input));
}

/** Accepts a network with room for several subnets. */
export async function clusterNetwork(input: string): Promise<string> {
  const { addressBits, formatPrefix, parsePrefix } = await import("../core/base/address.ts");
  const parsed = parsePrefix(input);
  const max = addressBits(parsed.family) - 4;
  if (parsed.length < 8 || parsed.length > max) {
    throw new RangeError(
      `"${input}" is too ${parsed.length > max ? "small" : "large"}: ` +
        `give a prefix length from /8 to /${max}`,
    );
  }
  return formatPrefix(parsed);
}

/** Accepts an address; yields its canonical text. */
export async function address(input: string): Promise<string> {
  const { canonicalAddress } = await import("../core/base/address.ts");
  return canonicalAddress(input);
}

/** Accepts an address that one host can have for all others; yields its canonical text. */
export async function hostAddress(input: string): Promise<string> {
  const canonical = await address(input);
  const { whyNoHostAddress } = await import("../core/base/special_address.ts");
  const state = whyNoHostAddress(canonical);
  if (state === undefined) return canonical;
  throw new RangeError(`"${input}" is ${state}: give one by which other hosts reach this one`);
}

/** Accepts an interface name as the kernel does (linux/if.h: IFNAMSIZ is 16 with the final zero). */
export function interfaceName(input: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (input.length > 15 || /[\s/:\0-\x1f]/.test(input) || input === "." || input === "..") {
    throw new RangeError(
      `"${input}" is not an interface name: give 1 to 15 characters without space, slash and colon`,
    );
  }
  return input;
}

/** Accepts a store's URL. The password, if any, is kept out of the message. */
export function storeUrl(input: string): string {
  if (/^sqlite:(?::memory:|file:)/.test(input)) {
    throw new RangeError('a store in memory is gone at once: give "sqlite:/path/knet.db"');
  }
  if (/^(?:dqlite:|sqlite:.|postgres:\/\/|postgresql:\/\/)/.test(input)) return input;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(input)?.[1];
  throw new RangeError(
    (scheme === undefined ? "that is not a URL" : `"${scheme}:" is no store`) +
      ': give "dqlite:", "sqlite:/path/knet.db" or "postgres://user@host/database"',
  );
}

/** Seconds of the longest span of time, ten years. */
const LONGEST = 10 * 365 * 86_400;

/** Accepts a span of time: `24h`, `90m`, `1h30m`, `45s`, `7d`, or seconds; yields seconds. */
export function span(min: number): (input: string) => Promise<number> {
  return async (input) => {
    const { parseSpan } = await import("../core/base/span.ts");
    const seconds = (parseSpan(input) ?? Number.NaN) / 1000;
    if (seconds > LONGEST) {
      throw new RangeError(`"${input}" is too long: give at most ${LONGEST / 86_400} days`);
    }
    if (!(seconds >= min) || !Number.isInteger(seconds)) {
      throw new RangeError(
        `"${input}" is not a span of time of at least ${min} s: give "24h", "90m" or seconds`,
      );
    }
    return seconds;
  };
}

/** Accepts a span of time that may be short: `500ms`, `2s`, or seconds; yields milliseconds. */
export async function milliseconds(input: string): Promise<number> {
  const { parseSpan } = await import("../core/base/span.ts");
  const found = parseSpan(input);
  if (found === undefined) {
    throw new RangeError(`"${input}" is not a span of time: give "500ms", "2s" or seconds`);
  }
  return found;
}

/** Port of the metrics where `--listen` names none. */
const METRICS_PORT = 9472;

/** Accepts `ADDRESS`, `ADDRESS:PORT`, `[V6]` or `[V6]:PORT`; yields address and port. */
export async function listenAddress(input: string): Promise<string> {
  const match = /^(?:\[([^\]]+)\]|([^:]+[.][^:]+))(?::([0-9]+))?$/.exec(input);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) {
    throw new RangeError(`"${input}" is not an address with port: give "127.0.0.1:9472"`);
  }
  const port = integer("a port", 1, 65_535)(match[3] ?? `${METRICS_PORT}`);
  await address(host);
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * The name of a network for container runtimes.
 *
 * @throws {SyntaxError}
 */
export function networkName(input: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/.test(input)) return input;
  throw new SyntaxError(
    `"${input}" is no name of a network: 1 to 64 letters, digits, "-", "_", "."`,
  );
}

/**
 * The name of a container.
 *
 * @throws {SyntaxError}
 */
export function containerName(input: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/.test(input)) return input;
  throw new SyntaxError(`"${input}" is no container's name: letters, digits, "-", "_", "."`);
}

/** Accepts ports to be published, as Docker writes them. */
export async function published(input: string): Promise<readonly PortMapping[]> {
  const { parsePublish } = await import("../core/container/port_request.ts");
  return parsePublish(input);
}
