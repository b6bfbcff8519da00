/**
 * Addresses between text and the bytes of the wire.
 *
 * This is on the way of every kernel message, so it neither validates more than it must nor makes the same string twice:
 * a dump of eighty thousand entries names the same addresses as the dump before.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "./linux/socket.ts";

/** 4 for IPv4, 6 for IPv6. */
export type Family = 4 | 6;

/** The address family number that the kernel uses. */
export function afOf(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** The family of an AF_ number, undefined for any other than IPv4 and IPv6. */
export function familyOfAf(af: number): Family | undefined {
  return af === AF_INET ? 4 : af === AF_INET6 ? 6 : undefined;
}

/** Family of an address or prefix in text, by its look. */
export function textFamily(text: string): Family {
  return text.includes(":") ? 6 : 4;
}

// More names than a large cluster has; a host that meets more of them starts anew rather than grow for ever.
const MOST_INTERNED = 1 << 18;
const interned4 = new Map<number, string>();
const internedMac = new Map<number, string>();

function intern<K>(cache: Map<K, string>, key: K, text: string): string {
  if (cache.size >= MOST_INTERNED) cache.clear();
  cache.set(key, text);
  return text;
}

/**
 * Writes the bytes of an address.
 *
 * @param text IPv4 or IPv6 address; a prefix length behind a slash is passed over.
 * @returns The number of bytes written, 4 or 16.
 * @throws {SyntaxError} if the text is no address.
 */
export function writeAddress(text: string, target: Uint8Array, offset: number): number {
  let value = 0;
  let digits = 0;
  let part = 0;
  for (let at = 0; at <= text.length; at++) {
    const code = at < text.length ? text.charCodeAt(at) : 0x2f;
    if (code >= 0x30 && code <= 0x39) {
      value = value * 10 + code - 0x30;
      digits++;
    } else if (code === 0x2e || code === 0x2f) {
      if (digits === 0 || digits > 3 || value > 255 || part > 3) break;
      target[offset + part++] = value;
      value = digits = 0;
      if (code === 0x2f) {
        if (part === 4) return 4;
        break;
      }
    } else if (code === 0x3a || (code | 0x20) >= 0x61 && (code | 0x20) <= 0x66) {
      writeAddress6(text, target, offset);
      return 16;
    } else break;
  }
  throw new SyntaxError(`Cannot read the address "${text}": it is neither IPv4 nor IPv6`);
}

function writeAddress6(text: string, target: Uint8Array, offset: number): void {
  const slash = text.indexOf("/");
  let address = slash < 0 ? text : text.slice(0, slash);
  const malformed = () =>
    new SyntaxError(`Cannot read the address "${text}": it is neither IPv4 nor IPv6`);
  const lastColon = address.lastIndexOf(":");
  if (address.includes(".")) {
    const four = new Uint8Array(4);
    const dotted = address.slice(lastColon + 1);
    // Checked first: text such as "a.1.1.1" looks like IPv6 again, and reading it would never end.
    if (lastColon < 0 || !/^[\d.]+$/.test(dotted)) throw malformed();
    writeAddress(dotted, four, 0);
    const hex = (high: number, low: number) => ((high << 8) | low).toString(16);
    address = `${address.slice(0, lastColon + 1)}${hex(four[0]!, four[1]!)}:${
      hex(four[2]!, four[3]!)
    }`;
  }
  const halves = address.split("::");
  if (halves.length > 2) throw malformed();
  const [head, tail] = halves.map((half) => half === "" ? [] : half.split(":")) as [
    string[],
    string[] | undefined,
  ];
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) throw malformed();
  const groups = tail === undefined
    ? head
    : [...head, ...new Array<string>(missing).fill("0"), ...tail];
  groups.forEach((group, index) => {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) throw malformed();
    const value = parseInt(group, 16);
    target[offset + 2 * index] = value >> 8;
    target[offset + 2 * index + 1] = value & 0xff;
  });
}

/**
 * The bytes of an address.
 *
 * @throws {SyntaxError} if the text is no address.
 */
export function parseAddress(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  return bytes.slice(0, writeAddress(text, bytes, 0));
}

/** Text of an address, for IPv6 as RFC 5952 has it. */
export function formatAddress(bytes: Uint8Array, offset: number, family: Family): string {
  if (family === 6) return formatAddress6(bytes, offset);
  const key = (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) |
    bytes[offset + 3]!;
  return interned4.get(key) ??
    intern(
      interned4,
      key,
      `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`,
    );
}

function formatAddress6(bytes: Uint8Array, offset: number): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => (bytes[offset + 2 * index]! << 8) | bytes[offset + 2 * index + 1]!,
  );
  let start = -1;
  let length = 1;
  for (let at = 0; at < 8;) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
    at = end + 1;
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  return start < 0
    ? hex(groups)
    : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/**
 * Writes the six bytes of a MAC address.
 *
 * @throws {SyntaxError} if the text is none.
 */
export function writeMac(text: string, target: Uint8Array, offset: number): void {
  let wrong = text.length !== 17 ? 1 : 0;
  for (let index = 0, at = 0; index < 6; index++, at += 3) {
    const high = hexDigit(text.charCodeAt(at));
    const low = hexDigit(text.charCodeAt(at + 1));
    // A digit that is none is -1, whose bits survive the "or".
    wrong |= (high | low) & ~15;
    if (index < 5 && text.charCodeAt(at + 2) !== COLON) wrong = 1;
    target[offset + index] = high << 4 | low;
  }
  if (wrong !== 0) {
    throw new SyntaxError(
      `Cannot read the MAC address "${text}": it is not six bytes in hexadecimal`,
    );
  }
}

const COLON = 0x3a;

/** Value of a hexadecimal digit by its character code, -1 for any other character. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** The six bytes of a MAC address. */
export function parseMac(text: string): Uint8Array {
  const bytes = new Uint8Array(6);
  writeMac(text, bytes, 0);
  return bytes;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Text of a MAC address: lower case, colons. */
export function formatMac(bytes: Uint8Array, offset: number): string {
  let key = 0;
  for (let index = 0; index < 6; index++) key = key * 256 + bytes[offset + index]!;
  const known = internedMac.get(key);
  if (known !== undefined) return known;
  const parts: string[] = [];
  for (let index = 0; index < 6; index++) parts.push(HEX[bytes[offset + index]!]!);
  return intern(internedMac, key, parts.join(":"));
}
