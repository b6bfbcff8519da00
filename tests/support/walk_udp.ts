/**
 * The walk's entries for udp.
 *
 * @module
 */
import assert from "node:assert/strict";
import { NETWORK } from "./cluster.ts";
import type { Host } from "./host.ts";
import type { PeerStatus } from "../../core/inspect/status.ts";
import {
  checkBridge,
  checkDevices,
  checkRoutes,
  identityOf,
  linkOf,
  sorted,
  UNDERLAY_MTU,
} from "./walk.ts";

const DEVICE = "knet.tun0";
const MTU = UNDERLAY_MTU - 28;

/** Checks that a host has one route for all peers, into a TUN device, and that its packet loop knows the peers. */
export async function checkUdpWalk(host: Host, peers: readonly Host[]): Promise<void> {
  const at = (what: string) => `${host.name}: ${what}`;
  await checkDevices(host, ["knet0", DEVICE]);
  await checkBridge(host, MTU);
  const { vtep } = await identityOf(host);
  const device = await linkOf(host, DEVICE);
  assert.equal(device?.linkinfo?.info_kind, "tun", at("kind of the device"));
  assert.equal(device?.mtu, MTU, at("MTU of the device"));
  assert.ok(device?.flags.includes("UP"), at("device is down"));
  assert.ok(device?.flags.includes("LOWER_UP"), at("nobody reads from the device"));
  assert.deepEqual(
    device?.addr_info.filter((a) => a.family === "inet").map((a) => `${a.local}/${a.prefixlen}`),
    [`${vtep}/32`],
    at("addresses of the device"),
  );
  await checkRoutes(host, [
    { dst: NETWORK, via: undefined, dev: DEVICE, onlink: false, nexthop: false },
  ]);
  const { body } = await host.get("/status");
  const known = (JSON.parse(body) as { peers: PeerStatus[] }).peers;
  const expected = await Promise.all(peers.map(identityOf));
  assert.deepEqual(
    sorted(known, (peer) => peer.subnet).map((p) =>
      `${p.subnet} ${p.publicIp} ${p.via} ${p.route}`
    ),
    sorted(expected, (peer) => peer.subnet).map((p) => `${p.subnet} ${p.publicIp} udp true`),
    at("peers"),
  );
}
