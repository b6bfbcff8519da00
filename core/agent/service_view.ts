/**
 * The kernel's virtual servers as a report shows them. Pure.
 *
 * @module
 */
import type { IpvsService } from "../../ffi/genl/ipvs_service.ts";
import type { KernelVirtualServer, ServicesReport, Traffic } from "../inspect/service_report.ts";
import type { ServiceRow } from "../kernel/ipvs/shown_servers.ts";
import { PROTOCOLS, type VirtualServer, virtualServerKey } from "../services/service.ts";

/** Key of a virtual server as generic netlink shows it; empty for one by firewall mark. */
export function keyOf(service: IpvsService): string {
  if (!("address" in service)) return "";
  const protocol = ({ 6: "tcp", 17: "udp", 132: "sctp" } as const)[service.protocol];
  const at: Pick<VirtualServer, "address" | "port" | "protocol"> = {
    address: service.address,
    port: service.port,
    protocol: protocol ?? "tcp",
  };
  return virtualServerKey(at);
}

/** Its counters. */
export function trafficOf({ stats }: IpvsService): Traffic {
  return {
    connections: stats.connections,
    inPackets: stats.inPackets,
    outPackets: stats.outPackets,
    inBytes: stats.inBytes,
    outBytes: stats.outBytes,
    rates: {
      connections: stats.connectionRate,
      inPackets: stats.inPacketRate,
      outPackets: stats.outPacketRate,
      inBytes: stats.inByteRate,
      outBytes: stats.outByteRate,
    },
  };
}

/** What the kernel has of a service, as `knet svc status` shows it. */
export function kernelOf(
  row: ServiceRow | undefined,
  traffic: ReadonlyMap<string, Traffic>,
): KernelVirtualServer | undefined {
  if (row?.state !== "ok" || !row.vip) return undefined;
  const realServers = [...row.realServers].map(([key, one]) =>
    [key, { ...one, persistent: 0 }] as const
  );
  const own = traffic.get(row.key);
  return { realServers: new Map(realServers), ...(own && { traffic: own }) };
}

/** A virtual server of somebody else's. */
export function foreignOf({ key }: ServiceRow): ServicesReport["foreign"][number] {
  const [address = "", port, protocol] = key.split(" ");
  const known = PROTOCOLS.find((name) => name === protocol);
  return known === undefined
    ? { address: "", port: 0, protocol: "fwmark", fwmark: Number(port) }
    : { address, port: Number(port), protocol: known };
}
