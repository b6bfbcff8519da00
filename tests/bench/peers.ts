/**
 * The peers that all rivals program: as leases, as batches of iproute2, as bytes for the limit.
 *
 * @module
 */
import { type ClusterConfig, makeClusterConfig } from "../../core/cluster/config.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import { deriveMac } from "../../core/base/mac.ts";
import { plan } from "../../core/kernel/plan.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import { Tables } from "../../core/kernel/tables.ts";
import type { Wishes } from "../../core/kernel/wishes.ts";
import { Batch, NLM_F_ACK } from "../../ffi/netlink/batch.ts";

/** The cluster that they are in: big enough for 65,536 subnets. */
export const CONFIG: ClusterConfig = makeClusterConfig({
  network: "10.0.0.0/8",
  serviceNetwork: "198.18.0.0/16",
});
/** Device that leads to them. */
export const DEVICE = "knet.1";
/** knet's protocol number on routes and next hops. */
const PROTOCOL = 107;
const SEND_BYTES = 256 * 1024;
const YEAR = 365 * 86_400_000;

/** Lease of the n-th peer, counted from 0; subnet 10.0.0.0/24 is this host's own. */
export function peerLease(n: number, now = 0): Lease {
  const number = n + 1;
  const nodeId = `peer-${number}`;
  return {
    nodeId,
    family: 4,
    nodeName: nodeId,
    subnet: `10.${number >> 8}.${number & 255}.0/24`,
    publicIp: `172.${16 + (number >> 14)}.${(number >> 7) & 127}.${1 + (number & 127)}`,
    backend: "vxlan",
    backendData: { vni: 1, mac: deriveMac("vtep", nodeId, 1) },
    bootId: "4f9c2a16-6d3f-4d0c-8a52-3d6a77a3b0ce",
    agentId: `0b9f7f5e-3c11-4c70-9a41-${number.toString(16).padStart(12, "0")}`,
    acquired: now,
    renewed: now,
    expires: now + YEAR,
    reserved: false,
    revision: number,
  };
}

/** Leases of many peers. */
export function peerLeases(count: number, now = 0): Lease[] {
  return Array.from({ length: count }, (_, n) => peerLease(n, now));
}

/** What `ip -batch` and `bridge -batch` get. */
export interface Iproute2 {
  readonly ip: string;
  readonly bridge: string;
}

/** The batches of iproute2, with a next-hop object under each route or with plain routes. */
export function iproute2Batches(leases: readonly Lease[], nexthopObjects: boolean): Iproute2 {
  const neighbours: string[] = [];
  const nexthops: string[] = [];
  const routes: string[] = [];
  const fdb: string[] = [];
  leases.forEach(({ subnet, publicIp, backendData: { mac } }, n) => {
    const gateway = subnet.slice(0, subnet.indexOf("/"));
    neighbours.push(`neigh add ${gateway} lladdr ${mac} dev ${DEVICE} nud permanent`);
    fdb.push(`fdb add ${mac} dst ${publicIp} dev ${DEVICE} self permanent`);
    if (nexthopObjects) {
      const id = 0x6b6e0000 + n;
      nexthops.push(
        `nexthop add id ${id} via ${gateway} dev ${DEVICE} onlink proto ${PROTOCOL}`,
      );
      routes.push(`route add ${subnet} nhid ${id} proto ${PROTOCOL}`);
    } else {
      routes.push(`route add ${subnet} via ${gateway} dev ${DEVICE} onlink proto ${PROTOCOL}`);
    }
  });
  return {
    ip: [...neighbours, ...nexthops, ...routes].join("\n") + "\n",
    bridge: fdb.join("\n") + "\n",
  };
}

/** The messages that knet sends for these, laid out as limit.c reads them. */
export function limitBytes(wishes: Wishes): Uint8Array<ArrayBuffer> {
  const batch = new Batch();
  for (const { kind, verb, value } of plan(wishes, new Tables(), KINDS)) {
    kind.encode(batch, verb, value);
  }
  const parts: Uint8Array[] = [];
  for (let first = 0; first < batch.count;) {
    const start = batch.startOf(first);
    let next = first + 1;
    while (next < batch.count && batch.startOf(next + 1) - start <= SEND_BYTES) next++;
    for (let index = first; index < next; index++) {
      batch.view.setUint32(batch.startOf(index) + 8, index + 1, true);
    }
    const flags = batch.startOf(next - 1) + 6;
    batch.view.setUint16(flags, batch.view.getUint16(flags, true) | NLM_F_ACK, true);
    const bytes = batch.bytes.slice(start, batch.startOf(next));
    parts.push(new Uint8Array(new Uint32Array([bytes.length]).buffer), bytes);
    first = next;
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
