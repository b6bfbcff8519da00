/**
 * What the packet loop is told by the agent.
 *
 * @module
 */
import type { PeerTable } from "./routes.ts";

/** Descriptors and addresses that the loop works with; it closes none of them. */
export interface LoopSetup {
  readonly tun: { readonly fd: number; readonly offloads: boolean; readonly udpOffload: boolean };
  readonly udp: { readonly fd: number; readonly segments: boolean; readonly bundles: boolean };
  /** Raw socket for ICMP errors, -1 for none. */
  readonly icmp: number;
  /** Bytes of the longest packet. */
  readonly mtu: number;
  /** First and last address of this host's subnet. */
  readonly first: number;
  readonly last: number;
  /** One packet a call, as a simple loop does: to measure what the rest is worth. */
  readonly singly: boolean;
}

/** A message to the loop. For all but the first, one is written to the eventfd behind it. */
export type LoopRequest =
  | {
    readonly kind: "start";
    /** An eventfd that counts down by one a read. */
    readonly wake: number;
    readonly counters: Float64Array<SharedArrayBuffer>;
  }
  | { readonly kind: "setup"; readonly setup: LoopSetup }
  | { readonly kind: "peers"; readonly table: PeerTable }
  | { readonly kind: "stop" };

/** A message from the loop. */
export type LoopReport =
  /** The device was deleted; errno. */
  | { readonly kind: "broken"; readonly errno: number }
  /** A message was acted on: what it replaced is not used any more. */
  | { readonly kind: "heard" }
  | { readonly kind: "stopped" };
