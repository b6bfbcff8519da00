/**
 * What the packet loop counts, in memory that the agent reads while the loop writes.
 *
 * @module
 */

/** The counters, in the order in which they lie in memory. */
export const COUNTERS = [
  /** IP packets sent to peers, as they are on the wire. */
  "sentPackets",
  /** Their bytes, without UDP and outer IP header. */
  "sentBytes",
  /** IP packets from peers that were handed to the kernel. */
  "receivedPackets",
  "receivedBytes",
  /** Calls that sent bundles and that handed packets to the kernel: what offloading saves is seen in them. */
  "sendCalls",
  "deliverCalls",
  /** From the kernel: not IPv4, or headers that contradict themselves. */
  "outMalformed",
  /** From the kernel: no peer has the destination. */
  "outNoPeer",
  /** From the kernel: the time to live ran out. */
  "outExpired",
  /** From the kernel: longer than the MTU. */
  "outTooBig",
  /** The kernel would not send it: no route, or a firewall. */
  "outRefused",
  /** From the network: no peer has the sender's address. */
  "inUnknownPeer",
  /** From the network: not one whole IPv4 packet, or a wrong header checksum. */
  "inMalformed",
  /** From the network: the inner source is not in the sender's subnet. */
  "inSpoofed",
  /** From the network: the inner destination is not in this host's subnet. */
  "inNotOurs",
  /** From the network: longer than the MTU. */
  "inTooBig",
  /** From the network: the kernel would not take it, the device being down for instance. */
  "inRefused",
  /** ICMP errors sent, and not sent because there were too many. */
  "icmpSent",
  "icmpLimited",
] as const;

/** A counter's name. */
export type CounterName = typeof COUNTERS[number];

/** Where a counter lies. */
export const COUNTER = Object.fromEntries(
  COUNTERS.map((name, index) => [name, index]),
) as Readonly<Record<CounterName, number>>;

/** Memory for the counters: one writer, any readers. Numbers in it are exact up to 2^53. */
export function makeCounters(): Float64Array<SharedArrayBuffer> {
  return new Float64Array(new SharedArrayBuffer(COUNTERS.length * 8));
}

/** What the counters say now. */
export function readCounters(counters: Float64Array): Record<CounterName, number> {
  return Object.fromEntries(COUNTERS.map((name, index) => [name, counters[index]!])) as Record<
    CounterName,
    number
  >;
}
