/**
 * What looks as a check says.
 *
 * @module
 */
import type { ActiveCheck, CheckTls } from "../services/check_kinds.ts";
import type { Tls } from "./conversation.ts";
import { httpProbe } from "./http_probe.ts";
import type { Probe } from "./probe.ts";
import { tcpProbe } from "./tcp_probe.ts";
import { dnsProbe, udpProbe } from "./udp_probe.ts";
import { wordsProbe } from "./words_probe.ts";

/** A host's name without its port; undefined if it is an address. */
function nameIn(host: string | undefined): string | undefined {
  const name = host?.replace(/:[0-9]*$/, "");
  return name === undefined || /^[0-9.]+$|[:[\]]/.test(name) ? undefined : name;
}

function tlsOf(
  { sni, ca, verify, host }: CheckTls & { readonly host?: string },
): Tls {
  return { name: sni ?? nameIn(host), ca, verify: verify !== false };
}

/** What looks as a check says: a bare connection costs a tenth of the others. */
export function lookOf(check: ActiveCheck): Probe {
  switch (check.type) {
    case "tcp": {
      const { tls, expect } = check;
      if (tls === undefined && expect === undefined) return tcpProbe;
      return (target, done) => wordsProbe(target, check, tls && tlsOf(check), done);
    }
    case "http":
      return (target, done) => httpProbe(target, check, undefined, done);
    case "https":
      return (target, done) => httpProbe(target, check, tlsOf(check), done);
    case "udp":
      return (target, done) => udpProbe(target, check, done);
    case "dns":
      return (target, done) => dnsProbe(target, check, done);
  }
}
