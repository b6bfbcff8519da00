/**
 * The options that several commands share.
 *
 * @module
 */
import type { BackendType } from "../core/cluster/config.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log_levels.ts";
import { flag, value } from "./option_table.ts";
import {
  address,
  choice,
  clusterNetwork,
  hostAddress,
  integer,
  interfaceName,
  listenAddress,
  prefix,
  span,
  storeUrl,
  text,
} from "./value_checks.ts";

/** Backends of the cluster. */
export const BACKENDS = ["vxlan", "host-gw", "udp"] as const satisfies readonly BackendType[];

/** Options of every command. */
export const globalOptions = {
  store: value(
    "URL",
    "The cluster's store: dqlite: (held by the hosts), sqlite:PATH or postgres://…",
    storeUrl,
    { env: "KNET_STORE", fallback: "that of this host's agent" },
  ),
  "other-store": flag("Use that store although this host's agent uses another"),
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
    complete: "interface",
    fallback: "that of the default route",
  }),
  "public-ip": value("ADDRESS", "Address by which the other hosts reach this one", hostAddress, {
    env: "KNET_PUBLIC_IP",
    fallback: "the interface's",
  }),
  node: value("NAME", "This host's name", text, { env: "KNET_NODE", fallback: "the host name" }),
  "node-id": value("ID", "This host's id, if /etc/machine-id does not serve", text, {
    env: "KNET_NODE_ID",
  }),
  bridge: value("NAME", "Bridge that containers are attached to", interfaceName, {
    env: "KNET_BRIDGE",
    complete: "interface",
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
