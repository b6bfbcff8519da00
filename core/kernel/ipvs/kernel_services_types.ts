/**
 * What {@linkcode KernelServices} is told, and what it says.
 *
 * @module
 */
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import type { RecordKeeper } from "./owned_servers.ts";
import type { ServiceFailure } from "./apply_servers.ts";
import { type ForwardFacts, forwardOf } from "./kernel_server.ts";
import { FORWARDING } from "../../../ffi/genl/ipvs_dest.ts";
import { isDirect, type VirtualServer, virtualServerKey } from "../../services/service.ts";

/** What services have to know of this host. */
export interface ServiceHost extends ForwardFacts {
  readonly nodeId: string;
  /** This host's address in the cluster network: the source of what it sends to services itself. */
  readonly gateway: string;
  /** This host's address on the underlay. */
  readonly publicIp: string;
  /** Of the overlay, bytes. */
  readonly mtu: number;
  /** Bridge and overlay device: where answers of real servers come in. */
  readonly devices: readonly string[];
}

/** Which IPIP packets of services there are on this host. */
export interface ServiceTunnels {
  /** It is a real server itself, and takes them. */
  readonly tunnelsIn: boolean;
  /** It sends them to real servers. */
  readonly tunnelsOut: boolean;
}

/** Finds out which IPIP packets services make on a host. Pure. */
export function tunnelsOf(servers: Iterable<VirtualServer>, host: ServiceHost): ServiceTunnels {
  let tunnelsIn = false, tunnelsOut = false;
  for (const server of servers) {
    if (server.family !== 4 || !isDirect(server)) continue;
    for (const { forward, address } of server.realServers) {
      if (address === host.publicIp || address === host.gateway) tunnelsIn = true;
      else if (forwardOf(forward, address, host) === FORWARDING.tunnel) tunnelsOut = true;
    }
  }
  return { tunnelsIn, tunnelsOut };
}

/** Bytes of the header that an IPIP tunnel puts before a packet (RFC 2003). */
const IPIP_HEADER = 20;

/** Largest packets, in bytes, that get from a host to all real servers of each virtual IP. Pure. */
export function mtusOf(servers: Iterable<VirtualServer>, host: ServiceHost): Map<string, number> {
  const mtus = new Map<string, number>();
  for (const { address: vip, realServers } of servers) {
    const tunnelled = realServers.some(({ forward, address }) =>
      forwardOf(forward, address, host) === FORWARDING.tunnel
    );
    const mtu = tunnelled ? host.mtu - IPIP_HEADER : host.mtu;
    mtus.set(vip, Math.min(mtu, mtus.get(vip) ?? mtu));
  }
  return mtus;
}

/** Makes containers of this host, and the host itself, the real servers that services want them to be, and nothing beside. */
export interface RealServers {
  /** Whether containers came, went or were made anew since `ensure`, so that it has something to do. To be asked every second. */
  containersChanged(): boolean;
  /**
   * @param addresses the host's own.
   * @returns what was done, in words, and sentences about what could not be.
   */
  ensure(
    servers: readonly VirtualServer[],
    addresses: readonly string[],
  ): { readonly changes: readonly string[]; readonly problems: readonly string[] };
}

/** Where real servers may be on this host. */
export interface RealServerHost {
  readonly rtnl: NetlinkSocket;
  readonly dataDir: string;
  readonly bootId: string;
}

/** How services are kept in the kernel. */
export interface KernelServicesOptions {
  readonly dataDir: string;
  /** What makes containers real servers: they are a level above the kernel's tables. */
  readonly realServers: (host: RealServerHost, record: RecordKeeper) => RealServers;
  /** Whether virtual IPs are to stay unknown on the underlay. */
  readonly strictArp?: boolean;
  /** Whether a virtual server of somebody else's at the same address is taken over. */
  readonly adopt?: (server: VirtualServer) => boolean;
  /** Addresses that this host lives by beside its own, and what each is: "this host's gateway". */
  readonly needs?: () => ReadonlyMap<string, string>;
  /** Whether all that is sent to an address is refused once it is no virtual IP any more. */
  readonly refuses?: (address: string) => boolean;
  /**
   * Writes knet's nftables table anew, with `KernelServices.firewall` in it. Called before a service becomes reachable: a
   * connection that was made without being masqueraded would never be.
   */
  readonly writeFirewall?: () => void;
}

/** What a reconcile did. */
export interface ServicesReconciled {
  /** Messages that changed virtual and real servers. */
  readonly operations: number;
  /** What was done apart from that, in words. */
  readonly changes: readonly string[];
  readonly failures: readonly ServiceFailure[];
  /** Sentences for the administrator: what is not as the store wants it, and why. */
  readonly problems: readonly string[];
  /** The nftables sets could not be changed: the table has to be written anew. */
  readonly firewallDirty: boolean;
}

/** What was done because something was not as it should be. */
export interface Healed extends ServicesReconciled {
  /** What was wrong, `virtual server … is gone`. */
  readonly why: string;
}

/** What the kernel refused, in its words and what they mean where they say little. */
export function explain({ operation, error }: ServiceFailure, services: Iterable<VirtualServer>) {
  const { server, kind } = operation;
  const what = kind === "server" && error.code === "ENOENT"
    ? `${error.message}: this kernel has no such scheduler (module ip_vs_${server.scheduler})`
    : error.message;
  for (const one of services) {
    if (virtualServerKey(one) === server.key) return `Service "${one.service}": ${what}`;
  }
  return what;
}
