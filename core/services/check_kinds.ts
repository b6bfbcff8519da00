/**
 * Checks as they are done: of which kinds there are, and what each may say.
 *
 * @module
 */
import type { CheckPace } from "./service.ts";

/** Where a check asks, if not at the real server's own port. */
export interface CheckPlace {
  /** Another port: of a sidecar, or an administrative one. */
  readonly port?: number;
}

/** How a check that speaks TLS does. */
export interface CheckTls {
  /** Server name (RFC 6066) that is asked for, and that the certificate has to be of; absent: `host`, else the address. */
  readonly sni?: string;
  /** PEM file on each host with authorities beside the well-known ones. */
  readonly ca?: string;
  /** False: any certificate will do. */
  readonly verify?: false;
}

/** What a check says, and waits for. A character is a byte. */
export interface CheckWords {
  readonly send?: string;
  /** What comes back has to hold it. */
  readonly expect?: string;
}

/** What is asked by HTTP. */
export interface HttpAsk {
  readonly path: string;
  /** The field Host; absent: `sni`, else address and port. */
  readonly host?: string;
  /** Statuses and ranges of them that are good: `200-299,401`; absent: 200 to 399. */
  readonly status?: string;
  /** The body's beginning has to hold it. A character is a byte. */
  readonly body?: string;
}

/** Passes when a connection is accepted (by TLS with `tls`), and when what comes back holds what is expected. */
export type TcpCheck =
  & { readonly type: "tcp"; readonly tls?: true }
  & CheckPlace
  & CheckTls
  & CheckWords
  & CheckPace;

/** Passes when `GET path` is answered as it should be. */
export type HttpCheck =
  & { readonly type: "http" | "https" }
  & HttpAsk
  & CheckPlace
  & CheckTls
  & CheckPace;

/** Fails when the port is refused; with `expect`, passes only when an answer holds it. */
export type UdpCheck = { readonly type: "udp" } & CheckPlace & CheckWords & CheckPace;

/** Passes when the query for a name is answered without an error (RFC 1035). */
export type DnsCheck =
  & { readonly type: "dns"; readonly name: string; readonly query?: string }
  & CheckPlace
  & CheckPace;

/** A check that is done. */
export type ActiveCheck = TcpCheck | HttpCheck | UdpCheck | DnsCheck;

/** What an administrator says of a check. */
export interface CheckRequest extends Partial<CheckPace>, CheckPlace, CheckTls, CheckWords {
  readonly type?: ActiveCheck["type"] | "none";
  readonly path?: string;
  readonly tls?: true;
  readonly host?: string;
  readonly status?: string;
  readonly body?: string;
  readonly name?: string;
  readonly query?: string;
}

/** What a kind may say beside its pace and what stands behind its colon, in the order in which it is written. */
export const CHECK_DETAILS = {
  none: [],
  tcp: ["port", "tls", "sni", "ca", "verify", "send", "expect"],
  http: ["port", "host", "status", "body"],
  https: ["port", "host", "status", "body", "sni", "ca", "verify"],
  udp: ["port", "send", "expect"],
  dns: ["port", "query"],
} as const satisfies Record<
  NonNullable<CheckRequest["type"]>,
  readonly (keyof CheckRequest)[]
>;

/** Name of such a detail. */
export type CheckDetail = (typeof CHECK_DETAILS)[keyof typeof CHECK_DETAILS][number];

/** Types of records that a check by DNS may ask for, by their numbers (RFC 1035, 3596, 2782). */
export const DNS_TYPES: Readonly<Record<string, number>> = {
  ...{ A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33 },
};
