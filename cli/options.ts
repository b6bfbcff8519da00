/**
 * The options that several commands share, and the checks of their values.
 *
 * Each check throws a RangeError or SyntaxError that names the value and what is allowed; the parser puts the
 * option's name before it. `core/base/address.ts` is loaded only when an address is there to be checked.
 *
 * @module
 */
import type { BackendType } from "../core/cluster/config.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log_levels.ts";
import { flag, value } from "./option_table.ts";
import { didYouMean } from "./suggest.ts";

/** Accepts any text. */
export function text(input: string): string {
  return input;
}

/** Accepts a whole number in a range, both ends included. */
export function integer(what: string, min: number, max: number): (input: string) => number {
  return (input) => {
    const number = Number(input);
    if (!/^[0-9]+$/.test(input) || number < min || number > max) {
      throw new RangeError(`"${input}" is not ${what}: give a whole number from ${min} to ${max}`);
    }
    return number;
  };
}

/** Accepts one of some words. */
export function choice<const Word extends string>(
  what: string,
  words: readonly Word[],
): (input: string) => Word {
  return (input) => {
    const found = words.find((word) => word === input);
    if (found !== undefined) return found;
    const list = words.map((word) => `"${word}"`).join(", ").replace(/, ([^,]*)$/, " or $1");
    const meant = didYouMean(input, words, { before: " (", after: ")" });
    throw new RangeError(`"${input}" is not ${what}: give ${list}${meant}`);
  };
}

/** Accepts a network in prefix notation, without bits in its host part; yields its canonical text. */
export async function prefix(input: string): Promise<string> {
  const { formatPrefix, parsePrefix } = await import("../core/base/address.ts");
  return formatPrefix(parsePrefix(input));
}

/** Accepts a network with room for several subnets. */
export async function clusterNetwork(input: string): Promise<string> {
  const { addressBits, formatPrefix, parsePrefix } = await import("../core/base/address.ts");
  const parsed = parsePrefix(input);
  const max = addressBits(parsed.family) - 4;
  if (parsed.length < 8 || parsed.length > max) {
    throw new RangeError(
      `"${input}" is too ${parsed.length > max ? "small" : "large"}: ` +
        `give a prefix length from /8 to /${max}`,
    );
  }
  return formatPrefix(parsed);
}

/** Accepts an address; yields its canonical text. */
export async function address(input: string): Promise<string> {
  const { canonicalAddress } = await import("../core/base/address.ts");
  return canonicalAddress(input);
}

/** Accepts an interface name as the kernel does (linux/if.h: IFNAMSIZ is 16 with the final zero). */
export function interfaceName(input: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (input.length > 15 || /[\s/:\0-\x1f]/.test(input) || input === "." || input === "..") {
    throw new RangeError(
      `"${input}" is not an interface name: give 1 to 15 characters without space, slash and colon`,
    );
  }
  return input;
}

/** Accepts a store's URL. The password, if any, is kept out of the message. */
export function storeUrl(input: string): string {
  if (/^(?:sqlite:.|postgres:\/\/|postgresql:\/\/)/.test(input)) return input;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(input)?.[1];
  throw new RangeError(
    (scheme === undefined ? "that is not a URL" : `"${scheme}:" is no store`) +
      ': give "sqlite:/path/knet.db" or "postgres://user@host/database"',
  );
}

/** Accepts a span of time: `24h`, `90m`, `1h30m`, `45s`, `7d`, or seconds; yields seconds. */
export function span(min: number): (input: string) => Promise<number> {
  return async (input) => {
    const { parseSpan } = await import("../core/base/span.ts");
    const seconds = (parseSpan(input) ?? Number.NaN) / 1000;
    if (!(seconds >= min) || seconds > 10 * 365 * 86_400 || !Number.isInteger(seconds)) {
      throw new RangeError(
        `"${input}" is not a span of time of at least ${min} s: give "24h", "90m" or seconds`,
      );
    }
    return seconds;
  };
}

/** Accepts a span of time that may be short: `500ms`, `2s`, or seconds; yields milliseconds. */
export async function milliseconds(input: string): Promise<number> {
  const { parseSpan } = await import("../core/base/span.ts");
  const found = parseSpan(input);
  if (found === undefined) {
    throw new RangeError(`"${input}" is not a span of time: give "500ms", "2s" or seconds`);
  }
  return found;
}

/** Port of the metrics where `--listen` names none. */
const METRICS_PORT = 9472;

/** Accepts `ADDRESS`, `ADDRESS:PORT`, `[V6]` or `[V6]:PORT`; yields address and port. */
export async function listenAddress(input: string): Promise<string> {
  const match = /^(?:\[([^\]]+)\]|([^:]+[.][^:]+))(?::([0-9]+))?$/.exec(input);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) {
    throw new RangeError(`"${input}" is not an address with port: give "127.0.0.1:9472"`);
  }
  const port = integer("a port", 1, 65_535)(match[3] ?? `${METRICS_PORT}`);
  await address(host);
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Backends of the cluster. */
export const BACKENDS = ["vxlan", "host-gw", "udp"] as const satisfies readonly BackendType[];

/** Options of every command. */
export const globalOptions = {
  store: value(
    "URL",
    "The cluster's store: sqlite:PATH or postgres://…",
    storeUrl,
    { env: "KNET_STORE", fallback: "sqlite:/var/lib/knet/knet.db" },
  ),
  config: value("FILE", "Configuration file", text, {
    env: "KNET_CONFIG",
    fallback: "/etc/knet/knet.yaml",
    complete: "file",
  }),
  "state-dir": value("DIR", "What lives until the next boot: socket, subnet.env", text, {
    env: "KNET_STATE_DIR",
    fallback: "/run/knet",
    complete: "directory",
  }),
  "data-dir": value("DIR", "What outlives a boot: node id, snapshot, addresses", text, {
    env: "KNET_DATA_DIR",
    fallback: "/var/lib/knet",
    complete: "directory",
  }),
  json: flag("Print one JSON document instead of a table"),
  "log-level": value(
    "LEVEL",
    "How much to log to standard error",
    choice("a log level", LOG_LEVELS),
    { env: "KNET_LOG_LEVEL", fallback: "info", choices: LOG_LEVELS },
  ),
  "log-format": value(
    "FORMAT",
    "How to log",
    choice("a log format", LOG_FORMATS),
    { env: "KNET_LOG_FORMAT", fallback: "text", choices: LOG_FORMATS },
  ),
};

/** Options that say what the cluster is; `init` and the first `join` write them to the store. */
export const clusterOptions = {
  network: value(
    "CIDR",
    "The network that all hosts share",
    clusterNetwork,
    { fallback: "10.244.0.0/16" },
  ),
  "subnet-len": value(
    "LENGTH",
    "Prefix length of each host's subnet",
    integer("a prefix length of subnets", 10, 126),
    { fallback: "24" },
  ),
  "subnet-min": value("ADDRESS", "First subnet that may be leased", address, {
    fallback: "the network's first",
  }),
  "subnet-max": value("ADDRESS", "Last subnet that may be leased", address, {
    fallback: "the network's last",
  }),
  backend: value(
    "NAME",
    "How packets travel between hosts: vxlan, host-gw or udp",
    choice("a backend", BACKENDS),
    { env: "KNET_BACKEND", fallback: "vxlan", choices: BACKENDS },
  ),
  vni: value(
    "NUMBER",
    "VXLAN network identifier",
    integer("a VXLAN network identifier", 1, 2 ** 24 - 1),
    { fallback: "1" },
  ),
  port: value("NUMBER", "UDP port of the backend", integer("a port", 1, 65_535), {
    fallback: "8472 for vxlan, 8285 for udp",
  }),
  "direct-routing": flag("Plain routes to hosts on the same link, VXLAN to the rest"),
  mtu: value("BYTES", "MTU of the overlay", integer("an MTU", 576, 65_535), {
    fallback: "the underlay's less the encapsulation",
  }),
  "service-network": value(
    "CIDR",
    "Where the virtual addresses of services come from",
    prefix,
    { fallback: "10.96.0.0/16" },
  ),
  "lease-ttl": value(
    "SPAN",
    "Life of a lease that is not renewed",
    span(1),
    { fallback: "24h" },
  ),
};

/** Options that say how this host takes part. */
export const hostOptions = {
  iface: value("NAME", "Underlay interface: its name, an address of it, or a pattern", text, {
    env: "KNET_IFACE",
    fallback: "that of the default route",
  }),
  "public-ip": value("ADDRESS", "Address by which the other hosts reach this one", address, {
    env: "KNET_PUBLIC_IP",
    fallback: "the interface's",
  }),
  node: value("NAME", "This host's name", text, { env: "KNET_NODE", fallback: "the host name" }),
  "node-id": value("ID", "This host's id, if /etc/machine-id does not serve", text, {
    env: "KNET_NODE_ID",
  }),
  bridge: value("NAME", "Bridge that containers are attached to", interfaceName, {
    env: "KNET_BRIDGE",
    fallback: "knet0",
  }),
  "ip-masq": flag("Masquerade what leaves the cluster network", { env: "KNET_IP_MASQ" }),
  "peers-only": flag("Drop tunnel packets whose source is no peer", {
    env: "KNET_PEERS_ONLY",
    fallback: "on; --no-peers-only turns it off",
  }),
  "strict-arp": flag("Answer no ARP for virtual IPs on the underlay", { env: "KNET_STRICT_ARP" }),
  adopt: flag("Take over virtual servers of others at a service's address", { env: "KNET_ADOPT" }),
  listen: value(
    "ADDRESS:PORT",
    "Serve /metrics, /healthz, /readyz and /status by TCP too",
    listenAddress,
    { env: "KNET_LISTEN", fallback: "the Unix socket only" },
  ),
};
