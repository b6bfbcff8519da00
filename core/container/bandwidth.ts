/**
 * How much a container may send and receive: what runtimes ask for, and the token buckets that do it, with the figures of CNI's
 * plugin `bandwidth`. Pure.
 *
 * @module
 */
import type { Queue, TokenBucket } from "../../ffi/rtnl/traffic.ts";

/** What may pass in one direction. */
export interface RateLimit {
  /** Bits a second, in the long run. */
  readonly rate: number;
  /** Bits that may pass at once. */
  readonly burst: number;
}

/** What may pass, seen from the container; a direction that is absent has no limit. */
export interface Bandwidth {
  /** What it receives. */
  readonly ingress?: RateLimit;
  /** What it sends. */
  readonly egress?: RateLimit;
}

/** Whether there is a limit at all. */
export function isLimited(bandwidth: Bandwidth | undefined): bandwidth is Bandwidth {
  return bandwidth?.ingress !== undefined || bandwidth?.egress !== undefined;
}

/** As CNI's convention has it: zero, null and absent say that there is no limit. */
export interface BandwidthRequest {
  readonly ingressRate?: number | null | undefined;
  readonly ingressBurst?: number | null | undefined;
  readonly egressRate?: number | null | undefined;
  readonly egressBurst?: number | null | undefined;
}

/** The names of its fields. */
export const BANDWIDTH_FIELDS = [
  "ingressRate",
  "ingressBurst",
  "egressRate",
  "egressBurst",
] as const satisfies readonly (keyof BandwidthRequest)[];

const MOST = 0xffffffff;

/**
 * Checks what is asked for.
 *
 * @returns undefined if there is no limit.
 * @throws {RangeError} that says what is wrong with it.
 */
export function bandwidthOf(asked: BandwidthRequest): Bandwidth | undefined {
  const ingress = limitOf("ingress", asked.ingressRate ?? 0, asked.ingressBurst ?? 0);
  const egress = limitOf("egress", asked.egressRate ?? 0, asked.egressBurst ?? 0);
  if (ingress === undefined && egress === undefined) return undefined;
  return { ...(ingress && { ingress }), ...(egress && { egress }) };
}

function limitOf(direction: string, rate: number, burst: number): RateLimit | undefined {
  const refuse = (state: string) => {
    throw new RangeError(`Cannot limit the bandwidth: ${state}`);
  };
  for (const [name, value] of [["Rate", rate], ["Burst", burst]] as const) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    refuse(`${direction}${name} ${value} is no number of bits`);
  }
  if (rate === 0 && burst === 0) return undefined;
  if (burst === 0) refuse(`${direction}Rate needs ${direction}Burst`);
  if (rate === 0) refuse(`${direction}Burst needs ${direction}Rate`);
  if (burst / 8 >= MOST) refuse(`${direction}Burst ${burst} is more than 4 GiB`);
  return { rate, burst };
}

/** Seconds that a packet may wait at most. */
const LATENCY = 0.025;
/** Bytes of an Ethernet header with a VLAN's tag. */
const HEADER = 18;

/**
 * The token bucket of a limit.
 *
 * @param mtu bytes: a burst of less than a packet would let none of that size through, for ever.
 */
export function bucketOf({ rate, burst }: RateLimit, mtu: number): TokenBucket {
  const bytes = Math.max(1, Math.floor(rate / 8));
  const atOnce = Math.max(mtu + HEADER, Math.floor(burst / 8));
  return {
    rate: bytes,
    burst: atOnce,
    limit: Math.min(MOST, Math.floor(bytes * LATENCY) + atOnce),
  };
}

/** Whether a queue is that token bucket. The kernel shows the burst as a time, rounded, of which the upper bits are lost. */
export function isBucket(queue: Queue | undefined, wanted: TokenBucket): boolean {
  const shown = queue?.bucket;
  if (shown === undefined || shown.rate !== wanted.rate || shown.limit !== wanted.limit) {
    return false;
  }
  const time = wanted.burst / wanted.rate * 1e9;
  return time >= MOST * 64 || Math.abs(shown.time - time) <= 128 + time / 1e6;
}
