/**
 * What a backend must look like from outside: the end-to-end tests run the same suite for each.
 *
 * @module
 */
import type { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { checkPlainPackets, checkUdpPackets, checkVxlanPackets } from "./packets.ts";
import { checkPlainWalk } from "./walk_plain.ts";
import { checkUdpWalk } from "./walk_udp.ts";
import { checkVxlanWalk } from "./walk_vxlan.ts";

/** One backend as the tests know it. */
export interface BackendCase {
  /** For the names of tests and for KNET_TEST_BACKEND: `vxlan-direct`. */
  readonly name: string;
  readonly type: "vxlan" | "host-gw" | "udp";
  /** Arguments for `knet join` and `knet init`. */
  readonly joinArgs: readonly string[];
  /** Device that carries packets to peers, undefined where that is the underlay's. */
  readonly device: string | undefined;
  /** Bytes that it puts around a packet. */
  readonly overhead: number;
  /** Peers on the same link are reached by plain routes. */
  readonly plainOnLink: boolean;
  /** Peers behind a router can be reached. */
  readonly crossesRouters: boolean;
  /** Each peer has entries of its own in the kernel. */
  readonly entriesPerPeer: boolean;
  /** Packets flow while no agent runs. */
  readonly flowsAlone: boolean;
  /** tcpdump filter for packets between hosts of one link. */
  readonly captureFilter: string;
  /**
   * Looks at the tables of a host: each peer's entries as they must be, and nothing more.
   *
   * @throws {AssertionError} naming host and entry.
   */
  check(host: Host, peers: readonly Host[], options?: WalkOptions): Promise<void>;
  /**
   * Looks at the frames that pings between two containers left on the underlay, as far as the filter takes them.
   *
   * @throws {AssertionError}
   */
  checkPackets(
    frames: readonly Uint8Array[],
    near: Container,
    far: Container,
  ): void | Promise<void>;
}

/** What the tables may differ in. */
export interface WalkOptions {
  /** The agent runs with `--plain-routes`: no next-hop objects. */
  readonly plain?: boolean;
}

/** VXLAN, VNI 1, port 8472. */
export const vxlanCase: BackendCase = {
  name: "vxlan",
  type: "vxlan",
  joinArgs: ["--backend", "vxlan"],
  device: "knet.1",
  overhead: 50,
  plainOnLink: false,
  crossesRouters: true,
  entriesPerPeer: true,
  flowsAlone: true,
  captureFilter: "udp port 8472",
  check: checkVxlanWalk,
  checkPackets: checkVxlanPackets,
};

/** The same with plain routes to peers on the same link. */
export const directCase: BackendCase = {
  ...vxlanCase,
  name: "vxlan-direct",
  joinArgs: ["--backend", "vxlan", "--direct-routing"],
  plainOnLink: true,
  captureFilter: "icmp or udp port 8472",
  check: (host, peers, options) => checkVxlanWalk(host, peers, { ...options, direct: true }),
  checkPackets: checkPlainPackets,
};

/** Plain routes and nothing else. */
export const hostGwCase: BackendCase = {
  name: "host-gw",
  type: "host-gw",
  joinArgs: ["--backend", "host-gw"],
  device: undefined,
  overhead: 0,
  plainOnLink: true,
  crossesRouters: false,
  entriesPerPeer: true,
  flowsAlone: true,
  captureFilter: "icmp or udp port 8472",
  check: checkPlainWalk,
  checkPackets: checkPlainPackets,
};

/** Encapsulation in user space, port 8285. */
export const udpCase: BackendCase = {
  name: "udp",
  type: "udp",
  joinArgs: ["--backend", "udp"],
  device: "knet.tun0",
  overhead: 28,
  plainOnLink: false,
  crossesRouters: true,
  entriesPerPeer: false,
  flowsAlone: false,
  captureFilter: "udp port 8285",
  check: checkUdpWalk,
  checkPackets: checkUdpPackets,
};

const ALL: readonly BackendCase[] = [vxlanCase, directCase, hostGwCase, udpCase];

/** The backends that the suites run on: all, or those that KNET_TEST_BACKEND names, with commas between. */
export const BACKENDS: readonly BackendCase[] = chosen(Deno.env.get("KNET_TEST_BACKEND"));

function chosen(names: string | undefined): readonly BackendCase[] {
  if (names === undefined || names === "") return ALL;
  return names.split(",").map((name) => {
    const found = ALL.find((backend) => backend.name === name);
    if (found !== undefined) return found;
    const known = ALL.map((backend) => backend.name).join(", ");
    throw new RangeError(`KNET_TEST_BACKEND: there is no "${name}", only ${known}`);
  });
}
