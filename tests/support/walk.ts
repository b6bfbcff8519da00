/**
 * The packet's walk (design.md, section 1) as `ip` and `bridge` show it: what all backends have in common.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { WalkOptions } from "./backend.ts";
import type { Host } from "./host.ts";
import { DEADLINE, until } from "./wait.ts";

/** Bytes. */
export const UNDERLAY_MTU = 1500;
const FIRST_NEXTHOP_ID = 0x6b6e0000;

/** A row of `ip -j route`. */
export interface RouteRow {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly flags: readonly string[];
  readonly nhid?: number;
}

/** A row of `ip -j neigh`. */
export interface NeighbourRow {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state: readonly string[];
}

/** A row of `bridge -j fdb`. */
export interface FdbRow {
  readonly mac: string;
  readonly dst?: string;
  readonly flags: readonly string[];
  readonly state: string;
}

/** A row of `ip -j nexthop`. */
export interface NexthopRow {
  readonly id: number;
  readonly gateway?: string;
  readonly protocol?: string;
  readonly flags: readonly string[];
}

/** A row of `ip -j -d addr`. */
export interface LinkRow {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly link?: string;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly inet6_addr_gen_mode?: string;
  readonly addr_info: { family: string; local: string; prefixlen: number }[];
  readonly linkinfo?: {
    info_kind: string;
    info_data?: { id?: number; local?: string; port?: number; learning?: boolean; link?: string };
  };
}

/** How a host is reached: what its lease tells the peers, read from its own kernel. */
export interface Identity {
  /** `10.244.1.0/24`. */
  readonly subnet: string;
  /** First address of the subnet. */
  readonly vtep: string;
  /** Empty where the backend has no device, or one without MAC address. */
  readonly mac: string;
  readonly publicIp: string;
}

/** Reads a device with its addresses; undefined if there is none of that name. */
export async function linkOf(host: Host, name: string): Promise<LinkRow | undefined> {
  const read = async (object: string) => {
    const line = `ip -j -d ${object} show dev ${name}`;
    return JSON.parse((await host.run(line, { check: false })).stdout || "[]") as LinkRow[];
  };
  // Only "ip link" shows the mode of address generation, only "ip addr" the addresses.
  const [[link], [withAddresses]] = await Promise.all([read("link"), read("addr")]);
  if (link === undefined || withAddresses === undefined) return undefined;
  return { ...link, addr_info: withAddresses.addr_info };
}

/** Identity of a host. */
export async function identityOf(host: Host): Promise<Identity> {
  const subnet = await host.subnet();
  const { device } = host.backend;
  const mac = device === undefined || host.backend.type === "udp"
    ? ""
    : (await linkOf(host, device))?.address;
  assert.ok(mac !== undefined, `${host.name} has no ${device}`);
  return { subnet, vtep: subnet.split("/")[0] ?? "", mac, publicIp: host.address };
}

/** Sorts rows by a text. */
export const sorted = <T>(rows: readonly T[], key: (row: T) => string): T[] =>
  [...rows].sort((a, b) => key(a) < key(b) ? -1 : 1);

/**
 * All routes, neighbours, FDB entries and next hops of the host that are knet's, as text: equal texts, equal state.
 * Whether a TUN device has a carrier is left out: that is whether an agent runs.
 */
export async function fingerprint(host: Host): Promise<string> {
  const { stdout } = await host.sh(`
    echo routes; ip route show proto 107 | sed 's/nhid [0-9]* //; s/\\(dev knet.tun.*\\) linkdown/\\1/' | sort
    echo nexthops; ip nexthop show proto 107 | sed 's/id [0-9]* //' | sort
    for dev in $(ls /sys/class/net | grep '^knet\\.'); do
      echo neighbours; ip -4 neigh show dev $dev | sort; ip -6 neigh show dev $dev | sort
      echo fdb; bridge fdb show dev $dev | sort
      echo device; ip -d addr show dev $dev | sed 's/^[0-9]*: //; s/ifindex [0-9]*//' |
        sed '/^knet.tun/ { s/ <.*> / /; s/ state [A-Z]* / / }'
    done
    echo bridge; ip -4 addr show dev knet0 | sed 's/^[0-9]*: //; s/ <.*> / /; s/ state [A-Z]* / /'
    echo links; ip -br link | awk '$1 ~ /^knet/ { print $1, $3 }' | sort
    echo nft; nft list tables | sort
    echo env; cat /run/knet/subnet.env`);
  return stdout;
}

/** Whether two hosts are on the same link of the lab: each link has a /24. */
export function sameLink(a: Host, b: Host): boolean {
  const link = (host: Host) => host.address.slice(0, host.address.lastIndexOf("."));
  return link(a) === link(b);
}

/** A route of knet's as it must be. */
export interface ExpectedRoute {
  readonly dst: string;
  /** Undefined where the device knows where packets go. */
  readonly via: string | undefined;
  readonly dev: string;
  readonly onlink: boolean;
  /** By a next-hop object. */
  readonly nexthop: boolean;
}

/** The plain route to a peer on the same link. */
export async function plainRoute(peer: Host): Promise<ExpectedRoute> {
  const dst = await peer.subnet();
  return { dst, via: peer.address, dev: "eth0", onlink: false, nexthop: false };
}

/** Checks the bridge: up, with the gateway's address and the overlay's MTU. */
export async function checkBridge(host: Host, mtu: number): Promise<void> {
  const at = (what: string) => `${host.name}: ${what}`;
  const bridge = await linkOf(host, "knet0");
  const gateway = (await host.subnetEnv())["KNET_SUBNET"];
  assert.deepEqual(
    bridge?.addr_info.filter((a) => a.family === "inet").map((a) => `${a.local}/${a.prefixlen}`),
    [gateway],
    at("address of the bridge"),
  );
  assert.ok(bridge?.flags.includes("UP"), at("bridge is down"));
  assert.equal(bridge?.mtu, mtu, at("MTU of the bridge"));
}

/** Checks that knet's routes and next-hop objects are these and no others. */
export async function checkRoutes(host: Host, expected: readonly ExpectedRoute[]): Promise<void> {
  const at = (what: string) => `${host.name}: ${what}`;
  const routes = await host.json<RouteRow[]>("ip -j route show proto 107");
  assert.deepEqual(
    sorted(routes, (r) => r.dst).map((r) => ({
      dst: r.dst,
      via: r.gateway,
      dev: r.dev,
      flags: r.flags,
      nexthop: r.nhid !== undefined,
    })),
    sorted(expected, (r) => r.dst).map(({ onlink, ...r }) => ({
      ...r,
      flags: onlink ? ["onlink"] : [],
    })),
    at("routes"),
  );
  const nexthops = await host.json<NexthopRow[]>("ip -j nexthop show proto 107");
  assert.deepEqual(
    nexthops.map((n) => n.gateway ?? "").sort(),
    expected.filter((r) => r.nexthop).map((r) => r.via).sort(),
    at("next-hop objects"),
  );
  for (const { id } of nexthops) assert.ok(id >= FIRST_NEXTHOP_ID, at(`next-hop id ${id}`));
}

/** Checks that the devices of knet's are these and no others. */
export async function checkDevices(host: Host, expected: readonly string[]): Promise<void> {
  const links = await host.json<LinkRow[]>("ip -j link");
  const names = links.map((link) => link.ifname).filter((name) => /^knet(0$|\.)/.test(name));
  assert.deepEqual(names.sort(), [...expected].sort(), `${host.name}: devices`);
}

/** Waits until every host of a set shows exactly the others' entries; returns the milliseconds. */
export async function converged(
  hosts: readonly Host[],
  options: WalkOptions & { deadline?: number } = {},
): Promise<number> {
  const { ms } = await until("every host shows the walk's entries", async () => {
    for (const host of hosts) {
      await host.backend.check(host, hosts.filter((other) => other !== host), options);
    }
    return true;
  }, { deadline: options.deadline ?? DEADLINE });
  return ms;
}
