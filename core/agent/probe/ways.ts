/**
 * The ways to a peer, and what is asked and answered on them.
 *
 * @module
 */
import { addressToNumber } from "../../base/address.ts";
import type { Answer } from "../../inspect/probe/message.ts";

/** Through the overlay, or from public address to public address. */
export type Way = "through" | "beside";

/** What this host is at the moment. Addresses as text, IPv4. */
export interface Place {
  /** The bridge's address. */
  readonly gateway: string;
  /** First address of the subnet. */
  readonly subnet: string;
  /** The underlay's own address. */
  readonly address: string;
  /** MTU of the overlay. */
  readonly mtu: number;
  /** Index of the bridge: what comes by it is containers'. */
  readonly bridge: number;
}

/** What came back. */
export interface Reply {
  /** Milliseconds. */
  readonly rtt: number;
  /** Hop limit that it arrived with. */
  readonly ttl: number | undefined;
  /** Of a datagram: what the peer says of it. */
  readonly answer?: Answer;
}

/** A question that a peer asked. */
export interface Asked {
  readonly way: Way;
  /** The peer's subnet, its first address as a number. */
  readonly subnet: number;
  /** Whether the peer says that this host answers. */
  readonly heard: boolean;
  /** Where it came from, a number. */
  readonly from: number;
}

/** What the wire asks of whoever knows the peers. */
export interface WireHooks {
  /** Whether a peer's host may ask from this address. */
  knows(way: Way, from: number): boolean;
  /** Whether a peer of that subnet answered on that way lately. */
  heard(way: Way, subnet: number): boolean;
  /** A peer asked. */
  onQuestion(asked: Asked): void;
  /** Somebody asked who says that he is of that subnet, from an address that is no peer's. */
  onStranger(asked: Asked): void;
}

/** An address as a number (IPv4). */
export function numberOf(address: string): number {
  return Number(addressToNumber(address));
}
