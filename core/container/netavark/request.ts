/**
 * Reads what podman tells the plugin. Pure.
 *
 * @module
 */
import * as v from "valibot";
import { canonicalAddress, parsePrefix } from "../../base/address.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { parseShape } from "../../base/shape.ts";
import { isContainerName } from "../../cluster/cluster_container.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { type Bandwidth, BANDWIDTH_FIELDS, isLimited } from "../bandwidth.ts";
import { readBandwidth } from "../bandwidth_words.ts";
import { expandPorts } from "../port_request.ts";
import { isMac, type PortMapping } from "../record.ts";

/** An interface of a container. */
export interface NetavarkInterface {
  readonly containerId: string;
  readonly network: string;
  readonly ifname: string;
}

/** A container that is to be attached. */
export interface NetavarkRequest extends NetavarkInterface {
  readonly name?: string;
  readonly ip?: string;
  readonly mac?: string;
  readonly ports: readonly PortMapping[];
  readonly bandwidth?: Bandwidth;
}

/** A network's definition; whatever else it says stays as it is. */
export type NetworkDefinition = Readonly<Record<string, unknown>>;

/** What is told as `-o NAME=VALUE`; knet looks at its own names only. */
const OPTIONS = v.optional(v.nullable(v.record(v.string(), v.unknown())));
const PORT = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));
const REQUEST = v.looseObject({
  container_id: v.pipe(v.string(), v.minLength(1)),
  container_name: v.optional(v.string()),
  port_mappings: v.optional(v.nullable(v.array(v.looseObject({
    container_port: PORT,
    host_port: PORT,
    host_ip: v.optional(v.string()),
    protocol: v.optional(v.string()),
    range: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))),
  })))),
  network: v.looseObject({ name: v.string(), options: OPTIONS }),
  network_options: v.looseObject({
    interface_name: v.string(),
    options: OPTIONS,
    static_ips: v.optional(v.nullable(v.array(v.string()))),
    static_mac: v.optional(v.nullable(v.string())),
  }),
});
const INTERFACE = v.looseObject({
  container_id: v.pipe(v.string(), v.minLength(1)),
  network: v.looseObject({ name: v.string() }),
  network_options: v.looseObject({ interface_name: v.string() }),
});
const NETWORK = v.looseObject({
  name: v.string(),
  ipv6_enabled: v.optional(v.boolean()),
  internal: v.optional(v.boolean()),
  subnets: v.optional(v.nullable(v.array(v.looseObject({
    subnet: v.string(),
    lease_range: v.optional(v.nullable(v.unknown())),
  })))),
  ipam_options: v.optional(v.nullable(v.record(v.string(), v.string()))),
  options: v.optional(v.nullable(v.record(v.string(), v.string()))),
});

function parse<T>(schema: v.GenericSchema<unknown, T>, text: string): T {
  try {
    return parseShape(schema, text);
  } catch (error) {
    throw new KnetError(`Cannot understand podman: ${messageOf(error)}`, {
      remedy: "See whether this podman is newer than knet",
      cause: error,
    });
  }
}

/**
 * Reads what `teardown` is about. What the container was to have is not looked at: what makes no sense must not keep it from going.
 *
 * @throws {KnetError} if it is not netavark's.
 */
export function readTeardown(text: string): NetavarkInterface {
  const { container_id: containerId, network, network_options: options } = parse(INTERFACE, text);
  return { containerId, network: network.name, ifname: options.interface_name };
}

/**
 * Reads what `setup` is about.
 *
 * @throws {KnetError} exit code 2 if it asks for what no container can have.
 */
export function readNetavark(text: string): NetavarkRequest {
  const asked = parse(REQUEST, text);
  const { interface_name: ifname, static_ips: ips, static_mac: mac } = asked.network_options;
  const { container_name: name } = asked;
  const addresses = new Set((ips ?? []).map(addressOf));
  if (addresses.size > 1) {
    throw new KnetError(
      `Cannot give one interface ${addresses.size} addresses: ${[...addresses].join(", ")}`,
      { exitCode: 2, remedy: "Ask for one" },
    );
  }
  const ip = [...addresses][0];
  // What is told of one container counts more than what its network says.
  const bandwidth = limitsOf({ ...asked.network.options, ...asked.network_options.options });
  return {
    containerId: asked.container_id,
    network: asked.network.name,
    ifname,
    ...(name !== undefined && isContainerName(name) && { name }),
    ...(ip !== undefined && { ip }),
    ...(mac && { mac: macOf(mac) }),
    ...(isLimited(bandwidth) && { bandwidth }),
    ports: expandPorts((asked.port_mappings ?? []).flatMap((one) =>
      // Several protocols stand in one word; a range of 0 is one port.
      (one.protocol || "tcp").split(",").map((protocol) => ({
        hostPort: one.host_port,
        containerPort: one.container_port,
        protocol,
        hostIp: one.host_ip,
        range: one.range || 1,
      }))
    )),
  };
}

/** The limits that options tell, by CNI's names. */
function limitsOf(options: Readonly<Record<string, unknown>> | null | undefined) {
  const told = BANDWIDTH_FIELDS.flatMap((name) => {
    const value = options?.[name];
    return value === undefined || value === null ? [] : [[name, `${value}`] as const];
  });
  return readBandwidth(Object.fromEntries(told));
}

function addressOf(text: string): string {
  try {
    return canonicalAddress(text);
  } catch (error) {
    throw new KnetError(messageOf(error), {
      exitCode: 2,
      remedy: "Leave --ip away, or name an address of this host's subnet",
      cause: error,
    });
  }
}

function macOf(text: string): string {
  const mac = text.toLowerCase();
  if (isMac(mac)) return mac;
  throw new KnetError(
    `Cannot give an interface the MAC address "${text}": it is none of a single interface`,
    { exitCode: 2, remedy: "Leave --mac-address away, or choose another" },
  );
}

/**
 * Makes the definition of a network out of what `podman network create -d knet` was told.
 *
 * @throws {KnetError} exit code 2 if it is to have what knet's network does not, or limits that make no sense.
 */
export function defineNetwork(
  text: string,
  { subnet }: Pick<NodeState, "subnet">,
): NetworkDefinition {
  const asked = parse(NETWORK, text);
  const foreign = asked.subnets?.find((one) => !isSubnet(one.subnet, subnet) || one.lease_range);
  const refuse = (state: string, remedy: string) => {
    throw new KnetError(`Cannot make network "${asked.name}": ${state}`, { exitCode: 2, remedy });
  };
  if (asked.ipv6_enabled && parsePrefix(subnet).family === 4) {
    refuse("this cluster has no IPv6", "Leave --ipv6 away");
  }
  limitsOf(asked.options);
  if (asked.internal) refuse("knet's leads to other hosts", "Leave --internal away");
  if (foreign !== undefined) {
    refuse(`this host's subnet is ${subnet}`, "Leave --subnet and --ip-range away");
  }
  const { subnets: _, ...rest } = asked;
  return networkDocument(rest);
}

/** What makes podman leave addresses to the plugin, which also takes the place of its name server. */
export function networkDocument(rest: NetworkDefinition): NetworkDefinition {
  return { ...rest, dns_enabled: false, ipam_options: { driver: "none" } };
}

function isSubnet(text: string, subnet: string): boolean {
  try {
    const [one, other] = [parsePrefix(text), parsePrefix(subnet)];
    return one.length === other.length && text.split("/")[0] === subnet.split("/")[0];
  } catch {
    return false;
  }
}
