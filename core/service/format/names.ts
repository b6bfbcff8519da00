/**
 * Names of hosts and ports, looked up on this host as ipvsadm does.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { canonicalAddress } from "../../address.ts";
import type { NameResolver } from "./ipvsadm_read.ts";

/** Ports by name and protocol, `http tcp`, from the text of /etc/services. */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, entry, ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    const [, port, protocol] = /^([0-9]+)\/([a-z]+)$/.exec(entry ?? "") ?? [];
    if (port === undefined) continue;
    for (const each of [name, ...aliases]) {
      const key = `${each} ${protocol}`;
      if (!ports.has(key)) ports.set(key, Number(port));
    }
  }
  return ports;
}

/** Looks up by this host's resolver and its /etc/services. */
export function systemNames(): NameResolver {
  const hosts = new Map<string, string | undefined>();
  let ports: Map<string, number> | undefined;
  return {
    async host(name) {
      if (hosts.has(name)) return hosts.get(name);
      const found = await lookup(name, { verbatim: true }).then(
        ({ address }) => canonicalAddress(address),
        () => undefined,
      );
      hosts.set(name, found);
      return found;
    },
    port(name, protocol) {
      if (ports === undefined) {
        try {
          ports = parseServices(Deno.readTextFileSync("/etc/services"));
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
          ports = new Map();
        }
      }
      return ports.get(`${name} ${protocol}`);
    },
  };
}
