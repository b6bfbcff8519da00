/**
 * The head of an HTTP request (RFC 9112), as far as the agent answers any. Pure.
 *
 * @module
 */

/** The longest head that is read, bytes. */
export const LONGEST_HEAD = 8192;

/** What was asked, or the status that says why it is not answered. */
export type HttpRequest =
  | {
    readonly method: string;
    readonly path: string;
    readonly host: string | undefined;
    /** Bytes of the body, if it says that it has one. */
    readonly length?: number;
  }
  | { readonly refused: 400 | 431 | 505 };

/** Method token, target, version. */
const LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (\S{1,2048}) HTTP\/([0-9])\.([0-9])$/;

/**
 * Reads a head: everything up to the empty line, without it.
 *
 * @param text Bytes as Latin-1.
 */
export function parseRequest(text: string): HttpRequest {
  const [first = "", ...fields] = text.split(/\r?\n/);
  const [, method, target = "", major, minor] = LINE.exec(first) ?? [];
  if (method === undefined) return { refused: 400 };
  if (major !== "1") return { refused: 505 };
  const hosts: string[] = [];
  const lengths: string[] = [];
  for (const field of fields) {
    const colon = field.indexOf(":");
    // A field that is folded, or whose name ends in a space, is read otherwise by others.
    if (colon < 1 || /[\s]/.test(field.slice(0, colon))) return { refused: 400 };
    const value = field.slice(colon + 1).trim();
    const name = field.slice(0, colon).toLowerCase();
    if (name === "host") hosts.push(value);
    if (name === "content-length") lengths.push(value);
  }
  if (hosts.length > 1 || (hosts.length === 0 && minor !== "0")) return { refused: 400 };
  // Two readers of one stream that disagree about where it ends is what smuggling lives of.
  if (lengths.length > 1 || lengths.some((one) => !/^[0-9]{1,9}$/.test(one))) {
    return { refused: 400 };
  }
  const absolute = /^http:\/\/([^/?#]*)(.*)$/i.exec(target);
  const path = (absolute === null ? target : absolute[2] || "/").replace(/[?#].*$/, "");
  if (!path.startsWith("/")) return { refused: 400 };
  return {
    method,
    path,
    host: absolute?.[1] ?? hosts[0],
    ...(lengths[0] !== undefined && { length: Number(lengths[0]) }),
  };
}

/**
 * Whether a host that is named is this one. A page of the web can lead a browser to any address under a name of its own (DNS
 * rebinding), but not under an address or this host's name.
 *
 * @param names Names of this host.
 */
export function isOwnName(host: string | undefined, names: readonly string[]): boolean {
  if (host === undefined) return true; // HTTP/1.0; a browser says it.
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::[0-9]{1,5})?$/.exec(host);
  if (match === null) return false;
  if (match[1] !== undefined) return true;
  const name = match[2]!.toLowerCase().replace(/\.$/, "");
  return /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/.test(name) || name === "localhost" ||
    names.some((own) => own.toLowerCase() === name || own.toLowerCase().startsWith(`${name}.`));
}
