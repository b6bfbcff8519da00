/**
 * The packet's walk (design.md, section 1) as `ip` and `bridge` show it, for VXLAN.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { WalkOptions } from "./backend.ts";
import type { Host } from "./host.ts";
import { DEADLINE, until } from "./wait.ts";

/** Device of the backend. */
const DEVICE = "knet.1";
const UNDERLAY_MTU = 1500;
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
  const mac = (await linkOf(host, DEVICE))?.address;
  assert.ok(mac !== undefined, `${host.name} has no ${DEVICE}`);
  return { subnet, vtep: subnet.split("/")[0] ?? "", mac, publicIp: host.address };
}

const sorted = <T>(rows: readonly T[], key: (row: T) => string): T[] =>
  [...rows].sort((a, b) => key(a) < key(b) ? -1 : 1);

/** All routes, neighbours, FDB entries and next hops of the host that are knet's, as text: equal texts, equal state. */
export async function fingerprint(host: Host): Promise<string> {
  const { stdout } = await host.sh(`
    echo routes; ip route show proto 107 | sed 's/nhid [0-9]* //' | sort
    echo neighbours; ip -4 neigh show dev ${DEVICE} | sort; ip -6 neigh show dev ${DEVICE} | sort
    echo fdb; bridge fdb show dev ${DEVICE} | sort
    echo nexthops; ip nexthop show proto 107 | sed 's/id [0-9]* //' | sort
    echo device; ip -d addr show dev ${DEVICE} | sed 's/^[0-9]*: //; s/ifindex [0-9]*//'
    echo bridge; ip -4 addr show dev knet0 | sed 's/^[0-9]*: //; s/ <.*> / /; s/ state [A-Z]* / /'
    echo links; ip -br link | awk '$1 ~ /^knet/ { print $1, $3 }' | sort
    echo nft; nft list tables | sort
    echo env; cat /run/knet/subnet.env`);
  return stdout;
}

/** Checks device, addresses and entries of one host against its peers. */
export async function checkVxlanWalk(
  host: Host,
  peers: readonly Host[],
  options: WalkOptions = {},
): Promise<void> {
  const own = await identityOf(host);
  const others = sorted(await Promise.all(peers.map(identityOf)), (peer) => peer.vtep);
  const at = (what: string) => `${host.name}: ${what}`;

  const device = await linkOf(host, DEVICE);
  assert.ok(device !== undefined, at(`no ${DEVICE}`));
  const data = device.linkinfo?.info_data;
  assert.equal(device.linkinfo?.info_kind, "vxlan", at("kind of the device"));
  assert.equal(data?.id, 1, at("VNI"));
  assert.equal(data?.port, 8472, at("port"));
  assert.equal(data?.local, host.address, at("local address of the device"));
  assert.equal(data?.learning, false, at("learning"));
  assert.equal(data?.link ?? device.link, "eth0", at("underlay device"));
  assert.equal(device.mtu, UNDERLAY_MTU - 50, at("MTU of the device"));
  assert.equal(device.inet6_addr_gen_mode, "none", at("IPv6 address generation"));
  assert.ok(device.flags.includes("UP"), at("device is down"));
  assert.deepEqual(
    device.addr_info.map((a) => `${a.local}/${a.prefixlen}`),
    [`${own.vtep}/32`],
    at("addresses of the device"),
  );

  const bridge = await linkOf(host, "knet0");
  const gateway = (await host.subnetEnv())["KNET_SUBNET"];
  assert.deepEqual(
    bridge?.addr_info.filter((a) => a.family === "inet").map((a) => `${a.local}/${a.prefixlen}`),
    [gateway],
    at("address of the bridge"),
  );
  assert.ok(bridge?.flags.includes("UP"), at("bridge is down"));

  const routes = await host.json<RouteRow[]>("ip -j route show proto 107");
  assert.deepEqual(
    sorted(routes, (r) => r.dst).map((r) => ({ dst: r.dst, via: r.gateway, dev: r.dev })),
    others.map((peer) => ({ dst: peer.subnet, via: peer.vtep, dev: DEVICE })),
    at("routes"),
  );
  for (const route of routes) {
    assert.deepEqual(route.flags, ["onlink"], at(`flags of route ${route.dst}`));
    assert.equal(route.nhid !== undefined, options.plain !== true, at(`nhid of ${route.dst}`));
  }
  const onDevice = await host.json<RouteRow[]>(`ip -j -4 route show dev ${DEVICE}`);
  assert.equal(onDevice.length, others.length, at("routes of any protocol on the device"));

  const nexthops = await host.json<NexthopRow[]>("ip -j nexthop show proto 107");
  assert.deepEqual(
    sorted(nexthops.map((n) => n.gateway ?? ""), (g) => g),
    options.plain === true ? [] : others.map((peer) => peer.vtep),
    at("next-hop objects"),
  );
  for (const { id } of nexthops) assert.ok(id >= FIRST_NEXTHOP_ID, at(`next-hop id ${id}`));

  const neighbours = await host.json<NeighbourRow[]>(`ip -j neigh show dev ${DEVICE}`);
  assert.deepEqual(
    sorted(neighbours, (n) => n.dst).map((n) => `${n.dst} ${n.lladdr} ${n.state}`),
    others.map((peer) => `${peer.vtep} ${peer.mac} PERMANENT`),
    at("neighbours"),
  );

  const fdb = await host.json<FdbRow[]>(`bridge -j fdb show dev ${DEVICE}`);
  assert.deepEqual(
    sorted(fdb, (f) => f.mac).map((f) => `${f.mac} ${f.dst} ${f.flags} ${f.state}`),
    sorted(others, (o) => o.mac).map((peer) => `${peer.mac} ${peer.publicIp} self permanent`),
    at("FDB entries"),
  );
}

/** Waits until every host of a set shows exactly the others' entries; returns the milliseconds. */
export async function converged(
  hosts: readonly Host[],
  options: WalkOptions & { deadline?: number } = {},
): Promise<number> {
  const { ms } = await until("every host shows the walk's entries", async () => {
    for (const host of hosts) {
      await checkVxlanWalk(host, hosts.filter((other) => other !== host), options);
    }
    return true;
  }, { deadline: options.deadline ?? DEADLINE });
  return ms;
}
