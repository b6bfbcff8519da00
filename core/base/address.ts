/**
 * Addresses and prefixes as the administrator writes them, and arithmetic on them. IPv4 and IPv6 go through the same code.
 *
 * @module
 */
import { type Family, formatAddress, parseAddress, textFamily } from "../../ffi/ip.ts";

/** A network: an address whose bits behind the length are zero. */
export interface Prefix {
  readonly family: Family;
  readonly address: string;
  readonly length: number;
}

/** Bits of an address. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Family of an address or prefix in text. */
export function familyOf(text: string): Family {
  return textFamily(text);
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
  // inet_aton() reads 010 as eight, inet_pton() refuses it; people mean ten.
  if (/(?:^|[:.])0\d+\.|\.0\d+$/.test(text)) {
    throw new SyntaxError(`Cannot read the address "${text}": a number has leading zeros`);
  }
  return formatAddress(parseAddress(text), 0, textFamily(text));
}

/** An address as a number. */
export function addressToNumber(address: string): bigint {
  return parseAddress(address).reduce((number, byte) => number * 256n + BigInt(byte), 0n);
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
  const number = addressToNumber(address);
  const network = mask(number, family, length);
  if (network !== number) {
    throw new RangeError(
      `Cannot use the network "${text}": it has host bits set; ${
        numberToAddress(network, family)
      }/${length} is the network`,
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

/** First and last address of a prefix or single address, as numbers. */
function range(text: string): { family: Family; first: bigint; last: bigint } {
  const family = familyOf(text);
  const slash = text.indexOf("/");
  const length = slash < 0 ? addressBits(family) : Number(text.slice(slash + 1));
  const first = mask(addressToNumber(text), family, length);
  return { family, first, last: first + (1n << BigInt(addressBits(family) - length)) - 1n };
}

/** Whether an address or prefix lies inside a network. */
export function prefixContains(outer: string | Prefix, inner: string): boolean {
  const o = range(typeof outer === "string" ? outer : formatPrefix(outer));
  const i = range(inner);
  return o.family === i.family && o.first <= i.first && i.last <= o.last;
}

/** Whether two networks share an address. */
export function prefixesOverlap(a: string, b: string): boolean {
  const x = range(a);
  const y = range(b);
  return x.family === y.family && x.first <= y.last && y.first <= x.last;
}

/** How many addresses a network has. */
export function prefixSize(prefix: string | Prefix): bigint {
  const { first, last } = range(typeof prefix === "string" ? prefix : formatPrefix(prefix));
  return last - first + 1n;
}

/**
 * The n-th address of a network, counted from 0.
 *
 * @throws {RangeError} if it has not so many.
 */
export function nthAddress(prefix: string | Prefix, n: number | bigint): string {
  const text = typeof prefix === "string" ? prefix : formatPrefix(prefix);
  const { family, first, last } = range(text);
  const number = first + BigInt(n);
  if (number < first || number > last) {
    throw new RangeError(`Cannot find address ${n} of ${text}: it has ${last - first + 1n}`);
  }
  return numberToAddress(number, family);
}
