/**
 * Turns the options that describe a cluster into what core asks for: only what was said, nothing filled in.
 *
 * @module
 */
import type { BackendType, ClusterRequest } from "../core/cluster/config.ts";
import { UsageError } from "./errors.ts";
import type { clusterOptions } from "./shared_options.ts";
import type { Parsed } from "./option_table.ts";

/** Which backends an option of theirs belongs to. */
const OWNERS = {
  vni: ["vxlan"],
  port: ["vxlan", "udp"],
  "direct-routing": ["vxlan"],
  mtu: ["vxlan", "host-gw", "udp"],
} as const satisfies Record<string, readonly BackendType[]>;

/**
 * Gathers the cluster options that were given.
 *
 * @throws {UsageError} if an option belongs to another backend than the one named.
 */
export function clusterRequest(
  options: Parsed<typeof clusterOptions>,
  context: string,
): ClusterRequest {
  const given = (Object.keys(OWNERS) as (keyof typeof OWNERS)[])
    .filter((name) => options[name] !== undefined);
  // Options of a backend imply the default one.
  const type: BackendType = options.backend ?? "vxlan";
  for (const name of given) {
    const owners: readonly BackendType[] = OWNERS[name];
    if (!owners.includes(type)) {
      throw new UsageError(
        `Cannot use "--${name}": the backend "${type}" has no such option, only ${
          owners.map((owner) => `"${owner}"`).join(" and ")
        }`,
        context,
      );
    }
  }
  return {
    ...said("network", options.network),
    ...said("subnetLen", options["subnet-len"]),
    ...said("subnetMin", options["subnet-min"]),
    ...said("subnetMax", options["subnet-max"]),
    ...said("serviceNetwork", options["service-network"]),
    ...said("leaseTtl", options["lease-ttl"]),
    ...said(
      "backend",
      options.backend === undefined && given.length === 0 ? undefined : {
        type,
        ...said("vni", options.vni),
        ...said("port", options.port),
        ...said("directRouting", options["direct-routing"]),
        ...said("mtu", options.mtu),
      },
    ),
  };
}

/** A record of one value, or of none if nothing was said. */
function said<Name extends string, T>(name: Name, value: T | undefined): { [N in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { [N in Name]?: T };
}
