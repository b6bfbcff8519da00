/**
 * Names of hosts and ports, looked up on this host as ipvsadm does.
 *
 * @module
 */
import { canonicalAddress } from "../../base/address.ts";
import { readTextIfPresent } from "../../base/files.ts";
import type { NameResolver } from "./ipvsadm_read.ts";

/** Words of each line of such a file, comments left out. */
function* lines(text: string): Generator<string[]> {
  for (const line of text.split("\n")) yield line.replace(/#.*/, "").trim().split(/\s+/);
}

/** Addresses by name, from the text of /etc/hosts. IPv4 comes first, as for ipvsadm. */
export function parseHosts(text: string): Map<string, string> {
  const hosts = new Map<string, string>();
  for (const [address, ...names] of lines(text)) {
    for (const name of names) {
      const known = hosts.get(name);
      if (known === undefined || known.includes(":") && !address!.includes(":")) {
        hosts.set(name, address!);
      }
    }
  }
  return hosts;
}

/** Ports by name and protocol, `http tcp`, from the text of /etc/services. */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const [name, entry, ...aliases] of lines(text)) {
    const [, port, protocol] = /^([0-9]+)\/([a-z]+)$/.exec(entry ?? "") ?? [];
    if (port === undefined) continue;
    for (const each of [name, ...aliases]) {
      const key = `${each} ${protocol}`;
      if (!ports.has(key)) ports.set(key, Number(port));
    }
  }
  return ports;
}

/** Asks the name servers. Not by node:dns, which greets with a warning of its own. */
async function ask(name: string): Promise<string | undefined> {
  for (const type of ["A", "AAAA"] as const) {
    const [address] = await Deno.resolveDns(name, type).catch(() => []);
    if (address !== undefined) return address;
  }
  return undefined;
}

/** Looks up by this host's /etc/hosts, name servers and /etc/services. */
export function systemNames(): NameResolver {
  const asked = new Map<string, string | undefined>();
  let hosts: Map<string, string> | undefined;
  let ports: Map<string, number> | undefined;
  return {
    async host(name) {
      hosts ??= parseHosts(readTextIfPresent("/etc/hosts") ?? "");
      if (!asked.has(name)) {
        const address = hosts.get(name) ?? await ask(name);
        asked.set(name, address === undefined ? undefined : canonicalAddress(address));
      }
      return asked.get(name);
    },
    port(name, protocol) {
      ports ??= parseServices(readTextIfPresent("/etc/services") ?? "");
      return ports.get(`${name} ${protocol}`);
    },
  };
}
