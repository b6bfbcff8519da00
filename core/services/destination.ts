/**
 * Real servers as they are written on a command line.
 *
 * @module
 */
import { canonicalAddress } from "../base/address.ts";

/** What an administrator says of a destination; the rest takes defaults. */
export interface DestinationRequest {
  readonly address: string;
  /** The default is the service's. */
  readonly port?: number;
  readonly weight?: number;
  readonly upper?: number;
  readonly lower?: number;
}

const FORM = 'give ADDRESS:PORT[,weight=N], such as "10.244.1.5:8080,weight=3"';

/** A whole number that fits JavaScript's, or NaN. What range it must be in is judged where all descriptions meet. */
function wholeNumber(text: string): number {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

function isAddress(text: string): boolean {
  try {
    canonicalAddress(text);
    return true;
  } catch {
    return false;
  }
}

/** Refuses IPv6 without brackets whose end may be a port: `fd00::5:8080` is a host of its own, and seldom the one that is meant. */
function needBrackets(text: string): void {
  const [, address, port] = /^([^[]*:[^[]*):([0-9]+)$/.exec(text) ?? [];
  if (address === undefined || !isAddress(address)) return;
  const withPort = `[${address}]:${port}`;
  throw new SyntaxError(
    isAddress(text)
      ? `"${text}" is an address, or one with a port: give [${text}] or ${withPort}`
      : `"${text}" is no address, but one with a port: give ${withPort}`,
  );
}

/**
 * Splits `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`.
 *
 * @throws {SyntaxError} if the text is none of them, or could be two.
 */
export function parseEndpoint(text: string): { address: string; port?: number } {
  needBrackets(text);
  return splitEndpoint(text);
}

function splitEndpoint(text: string): { address: string; port?: number } {
  const match = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? /^([^:]*)(?::([^:]*))?$/.exec(text) ??
    /^([0-9a-f:.]+)$/i.exec(text);
  const malformed = (cause?: unknown) =>
    new SyntaxError(`"${text}" is not an address with port: give ADDRESS:PORT`, { cause });
  if (match === null) throw malformed();
  let address: string;
  try {
    address = canonicalAddress(match[1]!);
  } catch (error) {
    throw malformed(error);
  }
  if (match[2] === undefined) return { address };
  const port = wholeNumber(match[2]);
  if (Number.isNaN(port)) throw malformed();
  return { address, port };
}

/**
 * Reads `ADDRESS[:PORT][,weight=N][,upper=N][,lower=N]`.
 *
 * @throws {SyntaxError} if the text is not of this form.
 */
export function parseDestination(text: string): DestinationRequest {
  const [endpoint, ...options] = text.split(",");
  const found: Record<string, number> = {};
  for (const option of options) {
    const [, name, value] = /^(weight|upper|lower)=([0-9]+)$/.exec(option.trim()) ?? [];
    if (name === undefined || Object.hasOwn(found, name)) {
      throw new SyntaxError(`"${text}" is not a real server: ${FORM}`);
    }
    found[name] = wholeNumber(value!);
  }
  needBrackets(endpoint!);
  try {
    return { ...splitEndpoint(endpoint!), ...found };
  } catch (error) {
    throw new SyntaxError(`"${text}" is not a real server: ${FORM}`, { cause: error });
  }
}
