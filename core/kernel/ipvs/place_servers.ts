/**
 * Which virtual servers a host can have: an address of a host's is none, and what somebody else has made stays theirs. Pure.
 *
 * @module
 */
import type { VirtualServer } from "../../services/service.ts";
import type { KernelServer } from "./kernel_server.ts";

/** Those that have a place. */
export interface PlacedServers {
  /** By key. */
  readonly wanted: Map<string, KernelServer>;
  /** Virtual IPs that are other hosts' addresses. */
  readonly peerVips: ReadonlySet<string>;
  /** Sentences about the others. */
  readonly problems: readonly string[];
}

/** Leaves out virtual servers at addresses of hosts, and at what this host lives by: its gateway would be itself. */
export function placeServers(
  servers: readonly VirtualServer[],
  facts: {
    readonly kernelOf: (server: VirtualServer) => KernelServer;
    /** Addresses that this host has or lives by, and what each is: "an address of this host". */
    readonly taken: ReadonlyMap<string, string>;
    /** Addresses of the other hosts. */
    readonly peers: ReadonlySet<string> | { has(address: string): boolean };
  },
): PlacedServers {
  const { kernelOf, taken, peers } = facts;
  const wanted = new Map<string, KernelServer>();
  const peerVips = new Set<string>();
  const problems: string[] = [];
  for (const server of servers) {
    const { address, service } = server;
    if (peers.has(address)) peerVips.add(address);
    const what = taken.get(address) ?? (peerVips.has(address) && "an address of another host");
    if (what) problems.push(`Service "${service}" is left out: ${address} is ${what}`);
    else {
      const kernel = kernelOf(server);
      wanted.set(kernel.key, kernel);
    }
  }
  return { wanted, peerVips, problems };
}

/** What becomes of wanted virtual servers in whose place somebody else's is. */
export interface MetForeign {
  /** Keys of those that are taken over. */
  readonly adopted: readonly string[];
  /** Keys of those that are left out. */
  readonly blocked: ReadonlySet<string>;
  /** Sentences about them. */
  readonly problems: readonly string[];
}

/** Finds wanted virtual servers in whose place somebody else's is. */
export function meetForeign(
  servers: readonly VirtualServer[],
  wanted: ReadonlyMap<string, KernelServer>,
  facts: {
    readonly kernelOf: (server: VirtualServer) => KernelServer;
    /** By key. */
    readonly foreign: { has(key: string): boolean };
    /** Whether one of others is to be taken over. */
    readonly adopts: (server: VirtualServer) => boolean;
  },
): MetForeign {
  const adopted: string[] = [];
  const blocked = new Set<string>();
  const problems: string[] = [];
  for (const server of servers) {
    const { key } = facts.kernelOf(server);
    if (!wanted.has(key) || !facts.foreign.has(key)) continue;
    if (facts.adopts(server)) adopted.push(key);
    else {
      blocked.add(key);
      const state = `the kernel has a virtual server at ${key} that is not knet's`;
      problems.push(`Service "${server.service}" is left out: ${state}`);
    }
  }
  return { adopted, blocked, problems };
}
