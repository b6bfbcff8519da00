/**
 * What a backend must look like from outside: the end-to-end tests run the same suite for each.
 *
 * @module
 */
import type { Host } from "./host.ts";
import { checkVxlanWalk } from "./walk.ts";

/** One backend as the tests know it. */
export interface BackendCase {
  readonly type: "vxlan" | "host-gw" | "udp";
  /** Arguments for `knet join`. */
  readonly joinArgs: readonly string[];
  /** Device that carries packets to peers, undefined where that is the underlay's. */
  readonly device: string | undefined;
  /** Bytes that it puts around a packet. */
  readonly overhead: number;
  /** tcpdump filter for packets between hosts. */
  readonly captureFilter: string;
  /**
   * Looks at the tables of a host: each peer's entries as they must be, and nothing more.
   *
   * @throws {AssertionError} naming host and entry.
   */
  check(host: Host, peers: readonly Host[], options?: WalkOptions): Promise<void>;
}

/** What the tables may differ in. */
export interface WalkOptions {
  /** The agent runs with `--plain-routes`: no next-hop objects. */
  readonly plain?: boolean;
}

/** VXLAN, VNI 1, port 8472. */
export const vxlanCase: BackendCase = {
  type: "vxlan",
  joinArgs: ["--backend", "vxlan"],
  device: "knet.1",
  overhead: 50,
  captureFilter: "udp port 8472",
  check: checkVxlanWalk,
};
