/**
 * Checks as they are written: on a command line, in files, and in the store where an older knet would not understand more.
 *
 * ```text
 * none
 * tcp [port=N] [tls [sni=NAME] [ca=FILE] [verify=no]] [send=TEXT] [expect=TEXT]
 * http:PATH [port=N] [host=NAME] [status=200-299,401] [body=TEXT]
 * https:PATH [port=N] [host=NAME] [status=…] [body=TEXT] [sni=NAME] [ca=FILE] [verify=no]
 * udp [port=N] [send=TEXT] [expect=TEXT]
 * dns[:NAME] [port=N] [query=AAAA]
 * ```
 *
 * Spaces part what is said, and not commas: a path may hold those. A value with spaces stands in double quotes; `\r`, `\n`, `\t`, `\\`,
 * `\"` and `\xHH` are bytes, other characters those of UTF-8.
 *
 * @module
 */
import {
  type ActiveCheck,
  CHECK_DETAILS,
  type CheckDetail,
  type CheckRequest,
} from "./check_kinds.ts";

type Type = keyof typeof CHECK_DETAILS;

const FORMS =
  'give tcp, http:PATH, https:PATH, udp, dns:NAME or none, such as "http:/healthz host=example.org"';

/** ` NAME`, ` NAME=VALUE`, ` NAME="VALUE"`. */
const DETAIL = /\s+([a-z]+)(?:=("(?:[^"\\]|\\.)*"|(?:[^\s"\\]|\\.)(?:[^\s\\]|\\.)*))?(?=\s|$)/sy;

const NAMED: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t" };

function isType(word: string): word is Type {
  return Object.hasOwn(CHECK_DETAILS, word);
}

/** Bytes out of their writing. */
function bytesIn(value: string): string {
  const text = value.startsWith('"') ? value.slice(1, -1) : value;
  return text.replace(
    // deno-lint-ignore no-control-regex -- all that is not ASCII
    /\\(?:x([0-9a-f]{2})|(.))|[^\x00-\x7f]+/gis,
    (all, hex: string | undefined, one: string | undefined) => {
      if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
      if (one === undefined) return String.fromCharCode(...new TextEncoder().encode(all));
      if (Object.hasOwn(NAMED, one)) return NAMED[one]!;
      if (/[\\" ]/.test(one)) return one;
      throw new SyntaxError(`"${all}" stands for nothing: write a backslash as "\\\\"`);
    },
  );
}

/** What {@linkcode bytesIn} reads. */
function writing(bytes: string): string {
  const names: Record<string, string> = { "\r": "\\r", "\n": "\\n", "\t": "\\t" };
  // deno-lint-ignore no-control-regex -- they are what is written otherwise
  const text = bytes.replace(/[\x00-\x1f\\"\x7f-\xff]/g, (one) =>
    names[one] ??
      (/[\\"]/.test(one) ? `\\${one}` : `\\x${one.charCodeAt(0).toString(16).padStart(2, "0")}`));
  return text === "" || text.includes(" ") ? `"${text}"` : text;
}

function detail(name: CheckDetail, value: string | undefined): CheckRequest {
  if (name === "tls") {
    if (value !== undefined) throw new SyntaxError('"tls" stands alone');
    return { tls: true };
  }
  if (value === undefined || value === '""') {
    throw new SyntaxError(`"${name}" needs a value: ${name}=…`);
  }
  switch (name) {
    case "port":
      if (!/^[0-9]{1,5}$/.test(value)) throw new SyntaxError(`port "${value}" is no number`);
      return { port: Number(value) };
    case "verify":
      if (value !== "no" && value !== "yes") throw new SyntaxError("verify is yes or no");
      return value === "no" ? { verify: false } : {};
    default:
      return { [name]: bytesIn(value) };
  }
}

/** All that is said behind the kind. */
function details(type: Type, text: string): CheckRequest {
  const known: readonly string[] = CHECK_DETAILS[type];
  let request: CheckRequest = {};
  const seen = new Set<string>();
  DETAIL.lastIndex = 0;
  for (let at = 0; text.slice(at).trim() !== ""; at = DETAIL.lastIndex) {
    DETAIL.lastIndex = at;
    const [, name, value] = DETAIL.exec(text) ?? [];
    if (name === undefined) {
      throw new SyntaxError(
        `"${text.slice(at).trim()}" is not NAME=VALUE; a value with spaces stands in double quotes`,
      );
    }
    if (!known.includes(name)) {
      const has = known.length === 0 ? "" : `; it has ${known.join(", ")}`;
      throw new SyntaxError(`${type} has no "${name}"${has}`);
    }
    if (seen.has(name)) throw new SyntaxError(`it has "${name}" twice`);
    seen.add(name);
    request = { ...request, ...detail(name as CheckDetail, value) };
  }
  return request;
}

/** The check that a URL may have meant. */
function pathAlone(url: string): string {
  const [, path = ""] = /^[a-z:]*\/\/[^/?#\s]*([^#\s]*)/i.exec(url) ?? [];
  const type = /^https:/i.test(url) ? "https" : "http";
  return `${type}:${path.startsWith("/") ? path : `/${path}`}`;
}

/** Commas where spaces belong, behind a word or a path that cannot mean them otherwise. */
function commasIn(type: Type, head: string): boolean {
  // Paths of http hold what they always did.
  if (type === "http") return false;
  return new RegExp(`,(?:tls$|tls,|(?:${CHECK_DETAILS[type].join("|") || "[a-z]+"})=)`).test(head);
}

function read(text: string): CheckRequest {
  const [, head = "", rest = ""] = /^(\S*)(.*)$/s.exec(text)!;
  const [, type = "", , what] = /^([a-z]*)(:(.*))?$/s.exec(head) ?? /^([a-z]*)/.exec(head)!;
  if (!isType(type)) throw new SyntaxError(FORMS);
  if (commasIn(type, head)) {
    throw new SyntaxError(
      `spaces part what it says, and not commas: "${
        head.replaceAll(/,(?=[a-z]+(?:=|,|$))/g, " ")
      }"`,
    );
  }
  if (head !== type && what === undefined) throw new SyntaxError(FORMS);
  if (type === "http" || type === "https") {
    return { type, path: what ?? "/", ...details(type, rest) };
  }
  if (type === "dns") {
    if (what === "") throw new SyntaxError("it has no name: give dns:NAME");
    return { type, name: what ?? ".", ...details(type, rest) };
  }
  if (what !== undefined) throw new SyntaxError(`nothing stands behind "${type}:"; ${FORMS}`);
  return { type, ...details(type, rest) };
}

/**
 * Reads a check. What its values may be, `checkActive` judges.
 *
 * @throws {SyntaxError} if the text is none.
 */
export function parseCheck(text: string): CheckRequest {
  if (/^(?:https?:)?[a-z]*:?\/\//i.test(text)) {
    throw new SyntaxError(
      `"${text}" is not a check: each real server is asked at its own address and port, so give the path alone: ${
        pathAlone(text)
      }`,
    );
  }
  try {
    return read(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`"${text}" is not a check: ${error.message}`);
  }
}

/** What {@linkcode parseCheck} reads; the pace apart. */
export function formatActive(check: ActiveCheck): string {
  const { type } = check;
  const head = type === "http" || type === "https"
    ? `${type}:${check.path}`
    : type === "dns" && check.name !== "."
    ? `dns:${check.name}`
    : type;
  const said: CheckRequest = check;
  const parts = CHECK_DETAILS[type].flatMap((name: CheckDetail) => {
    const value = said[name];
    if (value === undefined) return [];
    if (name === "tls") return ["tls"];
    if (name === "verify") return ["verify=no"];
    return [`${name}=${writing(`${value}`)}`];
  });
  return [head, ...parts].join(" ");
}
