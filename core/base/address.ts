/**
 * Addresses and prefixes as the administrator writes them, and arithmetic on them. IPv4 and IPv6 go through the same code.
 *
 * Reading and comparing is ipaddr.js's. What it understands beyond the one way to write an address is refused here: octal and
 * hexadecimal numbers, addresses of fewer parts, zones.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { type Family, formatAddress, parseAddress, textFamily } from "../../ffi/ip.ts";

/** A network: an address whose bits behind the length are zero. */
export interface Prefix {
  readonly family: Family;
  readonly address: string;
  readonly length: number;
}

type Parsed = ipaddr.IPv4 | ipaddr.IPv6;

/** Bits of an address. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Family of an address or prefix in text. */
export function familyOf(text: string): Family {
  return textFamily(text);
}

function refuse(text: string): SyntaxError {
  // inet_aton() reads 010 as eight, inet_pton() refuses it; people mean ten.
  const zeros = /(?:^|[:.])0\d+\.|\.0\d+$/.test(text);
  const state = zeros ? "a number has leading zeros" : "it is neither IPv4 nor IPv6";
  return new SyntaxError(`Cannot read the address "${text}": ${state}`);
}

/** An IPv4 address in the one way to write it: most of what thousands of leases and services hold. */
const PLAIN = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

function parse(text: string): Parsed {
  // What ipaddr.js makes of it as well, in several times the time.
  if (PLAIN.test(text)) return new ipaddr.IPv4(text.split(".").map(Number));
  let address: Parsed;
  try {
    if (textFamily(text) === 4) {
      address = ipaddr.IPv4.parse(text);
      // A number in another notation is written otherwise than it was read.
      if (address.toString() === text) return address;
    } else if (text.includes(".")) {
      // ipaddr.js takes ::1.2.3.4 for ::ffff:1.2.3.4.
      address = ipaddr.fromByteArray([...parseAddress(text)]);
      if (!/[:.]0\d/.test(text.slice(text.lastIndexOf(":")))) return address;
    } else if (!text.includes("%")) return ipaddr.IPv6.parse(text);
  } catch {
    // Refused, like what fell through.
  }
  throw refuse(text);
}

/**
 * The one way to write an address.
 *
 * @throws {SyntaxError} if the text is no address.
 */
export function canonicalAddress(text: string): string {
  if (text.includes("/")) {
    throw new SyntaxError(`Cannot read the address "${text}": it has a prefix length`);
  }
  if (PLAIN.test(text)) return text;
  return parse(text).toString();
}

/**
 * An address as a number; a prefix length behind a slash is passed over.
 *
 * @throws {SyntaxError} if the text is no address.
 */
export function addressToNumber(address: string): bigint {
  const slash = address.indexOf("/");
  return toNumber(parse(slash < 0 ? address : address.slice(0, slash)));
}

function toNumber(address: Parsed): bigint {
  if (!("octets" in address)) {
    return address.parts.reduce((number, part) => number << 16n | BigInt(part), 0n);
  }
  return BigInt(address.octets.reduce((number, octet) => number * 256 + octet, 0));
}

/**
 * A number as an address.
 *
 * @throws {RangeError} if the family has no such address.
 */
export function numberToAddress(number: bigint, family: Family): string {
  if (number < 0n || number >> BigInt(addressBits(family))) {
    throw new RangeError(`Cannot make an IPv${family} address of ${number}: it is out of range`);
  }
  const bytes = new Uint8Array(addressBits(family) / 8);
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(number & 255n);
    number >>= 8n;
  }
  return formatAddress(bytes, 0, family);
}

function mask(number: bigint, family: Family, length: number): bigint {
  const host = BigInt(addressBits(family) - length);
  return (number >> host) << host;
}

/**
 * Reads a network.
 *
 * @throws {SyntaxError} if the text is not `ADDRESS/LENGTH`.
 * @throws {RangeError} if it carries host bits; the message names the network meant.
 */
export function parsePrefix(text: string): Prefix {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) {
    throw new SyntaxError(`Cannot read the network "${text}": it is not ADDRESS/LENGTH`);
  }
  const address = canonicalAddress(match[1]!);
  const family = familyOf(address);
  const length = Number(match[2]);
  if (length > addressBits(family)) {
    throw new SyntaxError(
      `Cannot read the network "${text}": the length is over ${addressBits(family)}`,
    );
  }
  const network = networkOf(address, length);
  if (network !== `${address}/${length}`) {
    throw new RangeError(
      `Cannot use the network "${text}": it has host bits set; ${network} is the network`,
    );
  }
  return { family, address, length };
}

/** Text of a network. */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** The network of a length that an address lies in. */
export function networkOf(address: string, length: number): string {
  const family = familyOf(address);
  return `${numberToAddress(mask(addressToNumber(address), family, length), family)}/${length}`;
}

/** A prefix or single address; bits behind the length may be set. */
function network(from: string | Prefix): { family: Family; address: Parsed; length: number } {
  if (typeof from !== "string") {
    return { family: from.family, address: parse(from.address), length: from.length };
  }
  const family = familyOf(from);
  const slash = from.indexOf("/");
  if (slash < 0) return { family, address: parse(from), length: addressBits(family) };
  const length = Number(from.slice(slash + 1));
  if (!(length >= 0 && length <= addressBits(family))) {
    throw new SyntaxError(`Cannot read the network "${from}": it is not ADDRESS/LENGTH`);
  }
  return { family, address: parse(from.slice(0, slash)), length };
}

/** First and last address of a prefix or single address, as numbers. */
function range(from: string | Prefix): { family: Family; first: bigint; last: bigint } {
  const { family, address, length } = network(from);
  const first = mask(toNumber(address), family, length);
  return { family, first, last: first + (1n << BigInt(addressBits(family) - length)) - 1n };
}

/** Whether the first bits of two addresses of one family are the same. */
function sameBits(a: Parsed, b: Parsed, bits: number): boolean {
  // Both overloads do the same; TypeScript wants to know which.
  return (a as ipaddr.IPv6).match(b as ipaddr.IPv6, bits);
}

/** Whether an address or prefix lies inside a network. */
export function prefixContains(outer: string | Prefix, inner: string): boolean {
  const o = network(outer);
  const i = network(inner);
  return o.family === i.family && o.length <= i.length &&
    sameBits(o.address, i.address, o.length);
}

/** Whether two networks share an address. */
export function prefixesOverlap(a: string, b: string): boolean {
  const x = network(a);
  const y = network(b);
  return x.family === y.family && sameBits(x.address, y.address, Math.min(x.length, y.length));
}

/** How many addresses a network has. */
export function prefixSize(prefix: string | Prefix): bigint {
  const { first, last } = range(prefix);
  return last - first + 1n;
}

/**
 * The n-th address of a network, counted from 0.
 *
 * @throws {RangeError} if it has not so many.
 */
export function nthAddress(prefix: string | Prefix, n: number | bigint): string {
  const { family, first, last } = range(prefix);
  const number = first + BigInt(n);
  if (number < first || number > last) {
    const text = typeof prefix === "string" ? prefix : formatPrefix(prefix);
    throw new RangeError(`Cannot find address ${n} of ${text}: it has ${last - first + 1n}`);
  }
  return numberToAddress(number, family);
}
