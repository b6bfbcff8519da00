/**
 * A DNS query, and what its answer means (RFC 1035, 4.1).
 *
 * @module
 */
import { DNS_TYPES } from "../services/check_kinds.ts";
import { bytesOf } from "./bytes.ts";
import { PASSED, type ProbeResult } from "./probe.ts";

/** Bytes of a header. */
const HEADER = 12;
/** Names of response codes (RFC 1035, 4.1.1), by number. */
const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/**
 * A query with recursion desired.
 *
 * @param name Domain name; "." is the root.
 * @param type One of {@linkcode DNS_TYPES}.
 */
export function dnsQuery(id: number, name: string, type = "A"): Uint8Array<ArrayBuffer> {
  const labels = name.split(".").filter((label) => label !== "");
  const length = HEADER + labels.reduce((sum, label) => sum + label.length + 1, 1) + 4;
  const bytes = new Uint8Array(new ArrayBuffer(length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 0x0100);
  view.setUint16(4, 1);
  let at = HEADER;
  for (const label of labels) {
    bytes[at++] = label.length;
    bytes.set(bytesOf(label), at);
    at += label.length;
  }
  view.setUint16(at + 1, DNS_TYPES[type] ?? 1);
  view.setUint16(at + 3, 1);
  return bytes;
}

const lower = (byte: number) => byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;

/** Whether the question of a query stands in an answer; names may come back in other letters. */
function asksTheSame(query: Uint8Array, answer: Uint8Array): boolean {
  if (answer.length < query.length) return false;
  for (let at = HEADER; at < query.length; at++) {
    if (lower(query[at]!) !== lower(answer[at]!)) return false;
  }
  return true;
}

/** What a datagram means to a query; undefined: it is not its answer. */
export function judgeDns(query: Uint8Array, answer: Uint8Array): ProbeResult | undefined {
  if (answer.length < HEADER || answer[0] !== query[0] || answer[1] !== query[1]) return undefined;
  const isAnswer = (answer[2]! & 0x80) !== 0 && (answer[2]! & 0x78) === 0;
  if (!isAnswer) return undefined;
  const code = answer[3]! & 0xf;
  const questions = answer[4]! << 8 | answer[5]!;
  // Who could not read the query repeats no question.
  if (questions === 0 ? code === 0 : questions !== 1 || !asksTheSame(query, answer)) {
    return undefined;
  }
  return code === 0 ? PASSED : { passed: false, detail: RCODES[code] ?? `RCODE ${code}` };
}
