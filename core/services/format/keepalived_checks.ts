/**
 * The checkers of a keepalived.conf as checks of knet, and what they have that knet has not.
 *
 * @module
 */
import type { CheckRequest } from "../check_kinds.ts";
import { BlockError, type Statement } from "./keepalived_blocks.ts";
import { milliseconds, only, whole } from "./keepalived_values.ts";

/** Notes that a statement is not taken over. */
export type LeaveOut = (statement: Statement, why?: string) => void;

/** Words that change nothing here: how long keepalived waits before it looks again, and what knet does anyway. */
const OF_NO_MATTER = new Set(["delay_before_retry", "warmup", "enable_sni", "fast_recovery"]);

/** Bytes of hexadecimal digits, as text whose characters are bytes. */
function bytesOf(statement: Statement): string {
  const digits = statement.values.join("");
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) {
    throw new BlockError(statement.line, `"${digits}" are no hexadecimal bytes`);
  }
  return digits.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16)));
}

type Mutable = { -readonly [Key in keyof CheckRequest]: CheckRequest[Key] };

/** What all checkers may say. @returns whether it is one of these. */
function takeCommon(check: Mutable, statement: Statement, server: string): boolean {
  switch (statement.word) {
    case "connect_port":
      check.port = whole(statement);
      return true;
    case "connect_timeout":
      check.timeout = milliseconds(statement);
      return true;
    case "retry":
    case "nb_get_retry":
      // So many failures more are forgiven.
      check.fall = whole(statement) + 1;
      return true;
    case "connect_ip":
      return only(statement) === server;
    default:
      return OF_NO_MATTER.has(statement.word);
  }
}

/** `200 301-302` as `200,301-302`. */
const statusList = ({ values }: Statement) => values.join(",");

function takeUrl(check: Mutable, url: Statement, leaveOut: LeaveOut): void {
  for (const statement of url.block ?? []) {
    if (statement.word === "path") check.path = only(statement);
    else if (statement.word === "status_code") check.status = statusList(statement);
    else if (statement.word === "virtualhost") check.host = only(statement);
    else leaveOut(statement);
  }
}

function httpCheck(
  checker: Statement,
  host: string | undefined,
  server: string,
  leaveOut: LeaveOut,
) {
  const secure = checker.word === "SSL_GET";
  const check: Mutable = { type: secure ? "https" : "http", path: "/" };
  // What keepalived takes for good; its TLS looks at no certificate.
  check.status = "200-299";
  if (secure) check.verify = false;
  if (host !== undefined) check.host = host;
  let seen = false;
  for (const statement of checker.block ?? []) {
    if (statement.word === "url") {
      if (seen) leaveOut(statement, "knet asks for one path");
      else takeUrl(check, statement, leaveOut);
      seen = true;
    } else if (statement.word === "virtualhost") check.host = only(statement);
    else if (!takeCommon(check, statement, server)) leaveOut(statement);
  }
  return check;
}

function simpleCheck(type: "tcp" | "udp", checker: Statement, server: string, leaveOut: LeaveOut) {
  const check: Mutable = { type };
  for (const statement of checker.block ?? []) {
    const { word, values } = statement;
    if (type === "udp" && word === "payload") check.send = bytesOf(statement);
    else if (type === "udp" && word === "require_reply" && values.length > 0) {
      check.expect = bytesOf(statement);
    } else if (!takeCommon(check, statement, server)) leaveOut(statement);
  }
  return check;
}

function dnsCheck(checker: Statement, server: string, leaveOut: LeaveOut) {
  const check: Mutable = { type: "dns", name: ".", query: "SOA" };
  for (const statement of checker.block ?? []) {
    if (statement.word === "name") check.name = only(statement);
    else if (statement.word === "type") check.query = only(statement).toUpperCase();
    else if (!takeCommon(check, statement, server)) leaveOut(statement);
  }
  return check;
}

/**
 * A checker as a check.
 *
 * @param host What the real server or the virtual one says of the field Host.
 * @param server The real server's address.
 * @returns undefined if knet has none like it.
 * @throws {BlockError} if a value makes no sense.
 */
export function checkOfChecker(
  checker: Statement,
  host: string | undefined,
  server: string,
  leaveOut: LeaveOut,
): CheckRequest | undefined {
  const elsewhere = checker.block?.find(({ word, values }) =>
    word === "connect_ip" && values[0] !== server
  );
  if (elsewhere !== undefined) return undefined;
  switch (checker.word) {
    case "TCP_CHECK":
      return simpleCheck("tcp", checker, server, leaveOut);
    case "UDP_CHECK":
      return simpleCheck("udp", checker, server, leaveOut);
    case "HTTP_GET":
    case "SSL_GET":
      return httpCheck(checker, host, server, leaveOut);
    case "DNS_CHECK":
      return dnsCheck(checker, server, leaveOut);
    default:
      return undefined;
  }
}
