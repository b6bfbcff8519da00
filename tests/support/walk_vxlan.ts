/**
 * The walk's entries for VXLAN, with direct routing or without.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { WalkOptions } from "./backend.ts";
import type { Host } from "./host.ts";
import {
  checkBridge,
  checkDevices,
  checkRoutes,
  type FdbRow,
  type Identity,
  identityOf,
  linkOf,
  type NeighbourRow,
  plainRoute,
  type RouteRow,
  sameLink,
  sorted,
  UNDERLAY_MTU,
} from "./walk.ts";

const DEVICE = "knet.1";

/** Checks device, addresses and entries of one host against its peers. */
export async function checkVxlanWalk(
  host: Host,
  peers: readonly Host[],
  options: WalkOptions & { direct?: boolean } = {},
): Promise<void> {
  const direct = peers.filter((peer) => options.direct === true && sameLink(host, peer));
  const far = await Promise.all(peers.filter((p) => !direct.includes(p)).map(identityOf));
  await checkDevices(host, ["knet0", DEVICE]);
  await checkDevice(host);
  await checkBridge(host, UNDERLAY_MTU - 50);
  await checkRoutes(host, [
    ...far.map((peer) => ({
      dst: peer.subnet,
      via: peer.vtep,
      dev: DEVICE,
      onlink: true,
      nexthop: options.plain !== true,
    })),
    ...await Promise.all(direct.map(plainRoute)),
  ]);
  await checkEntries(host, far);
}

async function checkDevice(host: Host): Promise<void> {
  const at = (what: string) => `${host.name}: ${what}`;
  const { vtep } = await identityOf(host);
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
    [`${vtep}/32`],
    at("addresses of the device"),
  );
}

/** Routes of any protocol, neighbours and FDB entries on the device: one of each for every peer. */
async function checkEntries(host: Host, peers: readonly Identity[]): Promise<void> {
  const at = (what: string) => `${host.name}: ${what}`;
  const onDevice = await host.json<RouteRow[]>(`ip -j -4 route show dev ${DEVICE}`);
  assert.equal(onDevice.length, peers.length, at("routes of any protocol on the device"));

  const neighbours = await host.json<NeighbourRow[]>(`ip -j neigh show dev ${DEVICE}`);
  assert.deepEqual(
    sorted(neighbours, (n) => n.dst).map((n) => `${n.dst} ${n.lladdr} ${n.state}`),
    sorted(peers, (p) => p.vtep).map((peer) => `${peer.vtep} ${peer.mac} PERMANENT`),
    at("neighbours"),
  );

  const fdb = await host.json<FdbRow[]>(`bridge -j fdb show dev ${DEVICE}`);
  assert.deepEqual(
    sorted(fdb, (f) => f.mac).map((f) => `${f.mac} ${f.dst} ${f.flags} ${f.state}`),
    sorted(peers, (p) => p.mac).map((peer) => `${peer.mac} ${peer.publicIp} self permanent`),
    at("FDB entries"),
  );
}
