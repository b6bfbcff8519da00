/**
 * What a check may be, looked at by itself: each rule has its own message.
 *
 * @module
 */
import { visibleName } from "../base/visible.ts";
import { type ActiveCheck, type CheckRequest, DNS_TYPES } from "./check_kinds.ts";
import { isStatusList } from "./check_status.ts";
import { formatActive } from "./check_text.ts";
import type { Check, CheckPace } from "./service.ts";
import { ServiceError } from "./service_error.ts";

/** Characters; servers refuse request lines that are much longer. */
const MOST_PATH = 2000;
/** Bytes of what is sent or waited for. */
const MOST_TEXT = 256;
/** Characters of a whole check as JSON has it: a service's row holds 4096 of all its options. */
const MOST_WRITTEN = 3000;

const PACE = {
  interval: ["check interval in ms", 100, 3_600_000],
  timeout: ["check timeout in ms", 10, 60_000],
  rise: ["rise", 1, 100],
  fall: ["fall", 1, 100],
} as const;

/** A directory that only the administrator writes: the agent reads with all rights. */
const AUTHORITIES = "/etc/";
const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})";

/** Texts that go into requests or names as they are. */
const TEXTS: readonly (readonly [field: keyof CheckRequest, form: RegExp, what: string])[] = [
  ["host", /^[A-Za-z0-9._:[\]-]{1,255}$/, "a name or address, with a port if need be"],
  ["sni", new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`), "a server's name"],
  [
    "ca",
    new RegExp(`^${AUTHORITIES}(?!(?:.*/)?\\.\\.(?:/|$))[\\x20-\\x7e]{1,250}$`),
    `the path of a PEM file under ${AUTHORITIES}`,
  ],
  [
    "query",
    new RegExp(`^(?:${Object.keys(DNS_TYPES).join("|")})$`),
    `a type of DNS record: ${Object.keys(DNS_TYPES).join(", ")}`,
  ],
  [
    "name",
    new RegExp(`^(?:\\.|(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*\\.?)$`),
    "a domain name",
  ],
];

function refuse(field: string, what: string, state: string, remedy = "Choose another one"): never {
  throw new ServiceError(["check", field], what, state, remedy);
}

function checkNumber(field: string, what: string, value: unknown, min: number, max: number) {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  refuse(
    field,
    `${what}${Number.isNaN(value) ? "" : ` ${value}`}`,
    `it is not a whole number between ${min} and ${max}`,
  );
}

function checkPace(pace: CheckPace): void {
  for (const [field, [what, min, max]] of Object.entries(PACE)) {
    checkNumber(field, what, pace[field as keyof CheckPace], min, max);
  }
}

function checkPath(path: string): void {
  if (path.length > MOST_PATH) {
    refuse(
      "path",
      `a path of ${path.length} characters`,
      `it is longer than ${MOST_PATH}`,
      "Choose a shorter one",
    );
  }
  // What goes into a request line as it is.
  if (!/^\/[\x21-\x7e]*$/.test(path)) {
    refuse(
      "path",
      `path "${visibleName(path)}"`,
      'it does not begin with "/", or holds a space or what is not ASCII',
      "Give a path such as http:/healthz, other characters in percent notation",
    );
  }
}

function checkTexts(said: CheckRequest): void {
  for (const [field, form, what] of TEXTS) {
    const value = said[field];
    if (value === undefined || form.test(`${value}`)) continue;
    refuse(field, `the check's ${field} "${visibleName(`${value}`)}"`, `it is not ${what}`);
  }
  for (const field of ["send", "expect", "body"] as const) {
    const length = said[field]?.length ?? 0;
    if (length > MOST_TEXT) {
      refuse(
        field,
        `the check's ${field} of ${length} bytes`,
        `it is longer than ${MOST_TEXT}`,
        "Choose a shorter one",
      );
    }
  }
  if (said.status !== undefined && !isStatusList(said.status)) {
    refuse(
      "status",
      `the check's status "${visibleName(said.status)}"`,
      "it is no list of statuses from 100 to 599",
      "Give statuses and ranges, such as 200-299,401",
    );
  }
}

/** What makes no sense together. */
function checkTogether(check: ActiveCheck): void {
  if (check.type === "tcp") {
    const { tls, sni, ca, verify, send, expect } = check;
    if (tls === undefined && (sni ?? ca ?? verify) !== undefined) {
      refuse("sni", "sni, ca or verify", "the check speaks no TLS", "Add tls: tcp tls sni=NAME");
    }
    if (send !== undefined && expect === undefined) {
      refuse(
        "send",
        "a check by TCP that only sends",
        "it would pass whatever the answer is",
        "Say what comes back, by expect=TEXT",
      );
    }
  }
  const { ca, verify }: CheckRequest = check;
  if (ca !== undefined && verify === false) {
    refuse("ca", "ca", "verify=no takes every certificate", "Leave one of them out");
  }
}

/**
 * Checks a check that is to be done.
 *
 * @throws {ServiceError} exit code 2.
 */
export function checkActive(check: ActiveCheck): void {
  checkPace(check);
  if (check.port !== undefined) checkNumber("port", "check port", check.port, 1, 65_535);
  if (check.type === "http" || check.type === "https") checkPath(check.path);
  checkTexts(check);
  checkTogether(check);
  if (JSON.stringify(formatActive(check)).length > MOST_WRITTEN) {
    refuse(
      "path",
      "the check",
      `it is longer than ${MOST_WRITTEN} characters`,
      "Choose shorter texts",
    );
  }
}

/**
 * Checks a check of a service. What only a newer knet may understand of it is no fault.
 *
 * @throws {ServiceError} exit code 2.
 */
export function checkCheck(check: Check): void {
  if (check.type === "none") {
    if (!("text" in check)) return;
    checkPace(check);
    if (typeof check.text !== "string" || JSON.stringify(check.text).length > MOST_WRITTEN) {
      refuse("path", "the check", "it is no text of a check");
    }
    return;
  }
  checkPace(check);
  if (check.type === "http") checkPath(check.path);
}
