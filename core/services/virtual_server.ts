/**
 * From services to what this host's kernel shall hold.
 *
 * @module
 */
import type { Destination, RealServer, Service, VirtualServer } from "./service.ts";

/** What this host knows of a service's destinations beside the store. */
export interface LocalView {
  /** Whether this host's checks of a destination fail. */
  isDown(service: Service, destination: Destination): boolean;
  /** Whether a draining destination has no connections left here, or no time. */
  isDrained(service: Service, destination: Destination): boolean;
}

/** The virtual server of a service on this host. */
export function virtualServerOf(service: Service, local: LocalView): VirtualServer {
  const { name, vip, family, protocol, port, scheduler, schedulerFlags, forward } = service;
  const inUse = service.destinations.filter((one) => one.draining === undefined && one.weight > 0);
  const down = new Set(inUse.filter((one) => local.isDown(service, one)));
  const heedChecks = down.size < inUse.length || service.onEmpty === "reject";
  const realServers = service.destinations
    .filter((one) => one.draining === undefined || !local.isDrained(service, one))
    .map((one): RealServer => {
      const fails = heedChecks && down.has(one);
      return {
        address: one.address,
        port: one.port,
        forward,
        weight: one.draining !== undefined || fails ? 0 : one.weight,
        upper: one.upper,
        lower: one.lower,
        draining: one.draining !== undefined,
        ...(fails && protocol === "udp" && { withdrawn: true }),
      };
    });
  return {
    service: name,
    family,
    protocol,
    address: vip,
    port,
    scheduler,
    schedulerFlags,
    persistent: service.persistent,
    persistenceNetmask: service.persistenceNetmask,
    onePacket: service.onePacket,
    masquerade: service.masquerade,
    realServers,
  };
}
