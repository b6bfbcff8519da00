/**
 * Whether a service fits among what else the cluster has: other services, hosts, networks.
 *
 * @module
 */
import { familyOf, prefixContains } from "../base/address.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";
import type { ServiceView, UnreadService } from "./service_store.ts";
import { type Service, virtualServerKey } from "./service.ts";

function refuse(service: Service, state: string, remedy: string): KnetError {
  return new KnetError(
    `Cannot put service "${service.name}" at ${endpointOf(service)}: ${state}`,
    { exitCode: 4, remedy },
  );
}

/** `10.96.0.10:80/tcp`, `[fd00::10]:80/udp`. */
export function endpointOf({ vip, port, protocol }: Service): string {
  return `${vip.includes(":") ? `[${vip}]` : vip}:${port}/${protocol}`;
}

/**
 * The cluster's configuration.
 *
 * @throws {KnetError} exit code 4 if there is none.
 */
export function needCluster(config: ClusterConfig | undefined): ClusterConfig {
  if (config !== undefined) return config;
  throw new KnetError("Cannot keep services: the store holds no cluster configuration", {
    exitCode: 4,
    remedy: "Run knet init, or knet join on the first host",
  });
}

/**
 * Checks services that are new or have moved against hosts and networks.
 *
 * @returns Sentences to warn with.
 * @throws {KnetError} exit code 4 if a virtual IP is a host's own or a container's.
 */
export function checkPlaces(services: readonly Service[], view: ServiceView): string[] {
  const config = needCluster(view.config);
  const hosts = new Map(view.hosts.map((host) => [host.publicIp, host]));
  const warnings: string[] = [];
  for (const service of services) {
    const { vip, name } = service;
    const host = hosts.get(vip);
    if (host !== undefined) {
      throw refuse(
        service,
        host.nodeName === ""
          ? "that address is reserved for a host"
          : `that is the underlay address of host "${visibleName(host.nodeName)}"`,
        `Choose an address that no host has, such as one of ${config.serviceNetwork}`,
      );
    }
    if (view.storeHosts.includes(vip)) {
      throw refuse(
        service,
        "that is where the cluster's store is, and no host would reach it any more",
        `Choose another one, such as one of ${config.serviceNetwork}`,
      );
    }
    if (prefixContains(config.network, vip)) {
      throw refuse(
        service,
        `that address is in the container network ${config.network}`,
        `Choose another one, such as one of ${config.serviceNetwork}`,
      );
    }
    if (service.family !== familyOf(config.network)) {
      warnings.push(
        `"${name}" is of IPv${service.family} and the container network ${config.network} of ` +
          `IPv${familyOf(config.network)}: nothing is masqueraded, so that clients on the hosts ` +
          "themselves, and real servers that are their own clients, get no answer",
      );
    } else if (!prefixContains(config.serviceNetwork, vip)) {
      warnings.push(
        `The virtual IP ${vip} of "${name}" is outside the service network ${config.serviceNetwork}: ` +
          "every host takes what is sent there as its own",
      );
    }
  }
  return warnings;
}

/** What a service asks for that knet does for the container network's family alone, and what to ask for instead. */
function ofOneFamily({ forward, masquerade }: Service): [lacks: string, remedy: string] | [] {
  if (forward !== "nat") return [`forward by ${forward}`, "Use --forward nat"];
  return masquerade === "always" ? ["masquerade", "Use --masquerade auto"] : [];
}

/**
 * Checks services that are new or have changed against the family of the container network: kernel parameters, ends of tunnels and
 * the nftables table are of that one.
 *
 * @throws {KnetError} exit code 4 if one asks for what is not done for its family.
 */
export function checkFamilies(services: Iterable<Service>, view: ServiceView): void {
  const { network } = needCluster(view.config);
  const family = familyOf(network);
  for (const service of services) {
    if (service.family === family) continue;
    const [lacks, remedy] = ofOneFamily(service);
    if (lacks === undefined) continue;
    throw refuse(
      service,
      `the container network ${network} is of IPv${family}, and for IPv${service.family} beside ` +
        `it knet does not ${lacks}`,
      `${remedy}, or IPv${family} addresses`,
    );
  }
}

/** The error about a service of the store that cannot be used, which nobody shall lose by accident. */
function unreadIn(action: string, { name, state }: UnreadService): KnetError {
  const shown = visibleName(name);
  return new KnetError(
    `${action}: the store holds "${shown}" there, which this knet cannot use (${state})`,
    {
      exitCode: 4,
      remedy: `Remove it (knet svc rm ${shown}), or correct its row in knet_services`,
    },
  );
}

/**
 * Checks that services that are to be written take neither name nor place from one in the store that cannot be used.
 *
 * @throws {KnetError} exit code 4, naming both.
 */
export function checkUnread(services: Iterable<Service>, { unread }: ServiceView): void {
  if (unread.size === 0) return;
  const places = new Map([...unread.values()].map((one) => [placeOf(one), one]));
  for (const service of services) {
    const same = unread.get(service.name);
    if (same !== undefined) throw unreadIn(`Cannot write service "${service.name}"`, same);
    const other = places.get(placeOf(service));
    if (other === undefined) continue;
    const place = `Cannot put service "${service.name}" at ${endpointOf(service)}`;
    throw unreadIn(place, other);
  }
}

function placeOf({ vip, port, protocol }: Pick<UnreadService, "vip" | "port" | "protocol">) {
  return `${vip} ${port} ${protocol}`;
}

/**
 * Checks that no two services have the same address, port and protocol.
 *
 * @throws {KnetError} exit code 4, naming both.
 */
export function checkClashes(services: Iterable<Service>, changed: ReadonlySet<string>): void {
  const taken = new Map<string, Service>();
  for (const service of services) {
    const key = virtualServerKey({ ...service, address: service.vip });
    const other = taken.get(key);
    if (other === undefined) taken.set(key, service);
    else {
      const [newer, older] = changed.has(service.name) ? [service, other] : [other, service];
      throw refuse(
        newer,
        `service "${older.name}" has this address, port and protocol`,
        "Choose another virtual IP or port, or remove that service first",
      );
    }
  }
}
