/**
 * Turns the options that describe a cluster into what core asks for: only what was said, nothing filled in.
 *
 * @module
 */
import type { BackendType } from "../core/cluster.ts";
import { UsageError } from "./errors.ts";
import type { clusterOptions } from "./options.ts";
import type { Parsed } from "./parse.ts";

/** What the administrator said of the cluster. */
export interface ClusterRequest {
  network?: string;
  subnetLen?: number;
  subnetMin?: string;
  subnetMax?: string;
  backend?: {
    type: BackendType;
    vni?: number;
    port?: number;
    directRouting?: boolean;
    mtu?: number;
  };
  serviceNetwork?: string;
  leaseTtl?: number;
}

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
  // An option of one backend alone names it.
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
  const request: ClusterRequest = {};
  if (options.network !== undefined) request.network = options.network;
  if (options["subnet-len"] !== undefined) request.subnetLen = options["subnet-len"];
  if (options["subnet-min"] !== undefined) request.subnetMin = options["subnet-min"];
  if (options["subnet-max"] !== undefined) request.subnetMax = options["subnet-max"];
  if (options["service-network"] !== undefined) request.serviceNetwork = options["service-network"];
  if (options["lease-ttl"] !== undefined) request.leaseTtl = options["lease-ttl"];
  if (options.backend !== undefined || given.length > 0) {
    request.backend = {
      type,
      ...(options.vni === undefined ? {} : { vni: options.vni }),
      ...(options.port === undefined ? {} : { port: options.port }),
      ...(options["direct-routing"] === undefined
        ? {}
        : { directRouting: options["direct-routing"] }),
      ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
    };
  }
  return request;
}
