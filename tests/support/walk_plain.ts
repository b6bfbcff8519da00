/**
 * The walk's entries for host-gw.
 *
 * @module
 */
import type { Host } from "./host.ts";
import {
  checkBridge,
  checkDevices,
  checkRoutes,
  plainRoute,
  sameLink,
  UNDERLAY_MTU,
} from "./walk.ts";

/** Checks that a host has a plain route to every peer on its link, none to the others, and no device but the bridge. */
export async function checkPlainWalk(host: Host, peers: readonly Host[]): Promise<void> {
  await checkDevices(host, ["knet0"]);
  await checkBridge(host, UNDERLAY_MTU);
  const near = peers.filter((peer) => sameLink(host, peer));
  await checkRoutes(host, await Promise.all(near.map(plainRoute)));
}
