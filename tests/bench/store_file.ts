/**
 * A store full of leases, written straight into the SQLite file: joining thousands of hosts one by one is another benchmark.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import type { Lease } from "../../core/cluster/lease.ts";

/** Adds leases to a database that `knet init` made. */
export function fillStore(path: string, leases: readonly Lease[]): void {
  using database = open(path);
  const insert = database.prepare(
    `insert into knet_leases (node_id, family, node_name, subnet, public_ip, backend, backend_data,
       boot_id, agent_id, acquired, renewed, expires, reserved, revision)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`,
  );
  const now = Date.now();
  database.exec("begin immediate");
  for (const lease of leases) {
    insert.run(
      lease.nodeId,
      lease.family,
      lease.nodeName,
      lease.subnet,
      lease.publicIp,
      lease.backend,
      JSON.stringify(lease.backendData),
      lease.bootId,
      lease.agentId,
      now,
      now,
      now + 365 * 86_400_000,
      lease.revision,
    );
  }
  const last = leases.at(-1)?.revision ?? 0;
  database.exec(`update knet_meta set value = max(value, ${last}) where name = 'revision'`);
  database.exec("commit");
}

/** Gives a node another public address, as its agent does after a move. */
export function movePeer(path: string, nodeId: string, publicIp: string): void {
  using database = open(path);
  database.exec("begin immediate");
  database.exec("update knet_meta set value = value + 1 where name = 'revision'");
  database.prepare(
    `update knet_leases set public_ip = ?,
       revision = (select value from knet_meta where name = 'revision') where node_id = ?`,
  ).run(publicIp, nodeId);
  database.exec("commit");
}

function open(path: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(path);
  database.exec("pragma busy_timeout = 5000");
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
