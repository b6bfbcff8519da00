/**
 * What a host's agent writes into the store when it joins, as text for each store: thousands of hosts that join one by one would be
 * another benchmark.
 *
 * @module
 */
import type { Lease } from "../../../core/cluster/lease.ts";

const YEAR = 365 * 86_400_000;

/** A text of SQL between quotes; what a benchmark makes itself has none in it. */
function quoted(text: string): string {
  if (text.includes("'")) throw new RangeError(`Cannot quote ${text}: it has a quote in it`);
  return `'${text}'`;
}

/**
 * Statements that add leases to a store that `knet init` made, one revision each, in the SQL that SQLite and Postgres share.
 *
 * @param now Milliseconds since the epoch.
 */
export function leaseStatements(leases: readonly Lease[], now: number): string[] {
  const count = leases.length;
  if (count === 0) return [];
  const revision = "(select value from knet_meta where name = 'revision')";
  const rows = leases.map((lease, n) => {
    const texts = [lease.nodeName, lease.subnet, lease.publicIp, lease.backend];
    const ids = [JSON.stringify(lease.backendData), lease.bootId, lease.agentId];
    return `(${quoted(lease.nodeId)}, ${lease.family}, ${[...texts, ...ids].map(quoted)}, ` +
      `${now}, ${now}, ${now + YEAR}, 0, ${revision} - ${count - 1 - n})`;
  });
  return [
    `update knet_meta set value = value + ${count} where name = 'revision'`,
    `insert into knet_leases (node_id, family, node_name, subnet, public_ip, backend, backend_data,
       boot_id, agent_id, acquired, renewed, expires, reserved, revision) values ${
      rows.join(",\n")
    }`,
  ];
}

/** Key and value of etcd, as flannel has them. */
export interface Pair {
  readonly key: string;
  readonly value: string;
}

/** A lease as flanneld writes it. */
export function flannelLease(lease: Lease, prefix: string): Pair {
  const attributes = {
    PublicIP: lease.publicIp,
    PublicIPv6: null,
    BackendType: lease.backend,
    ...(lease.backend === "vxlan" && {
      BackendData: { VNI: lease.backendData.vni, VtepMAC: lease.backendData.mac },
    }),
  };
  return {
    key: `${prefix}/subnets/${lease.subnet.replace("/", "-")}`,
    value: JSON.stringify(attributes),
  };
}

/** The body of a put by etcd's JSON gateway. */
export function putBody({ key, value }: Pair, etcdLease?: string): Record<string, string> {
  return {
    key: btoa(key),
    value: btoa(value),
    ...(etcdLease !== undefined && { lease: etcdLease }),
  };
}
