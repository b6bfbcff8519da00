/**
 * Leases as rows of `knet_leases`.
 *
 * @module
 */
import { getTableColumns } from "drizzle-orm";
import * as v from "valibot";
import { word } from "../base/shape.ts";
import { visibleName } from "../base/visible.ts";
import type { BackendData, Lease } from "../cluster/lease.ts";
import {
  addressText,
  asWritten,
  bounded,
  type Checked,
  checkRow,
  count,
  jsonOf,
  prefixText,
} from "./row_check.ts";
import { leaseTable } from "./schema.ts";

const { deleted: _deleted, ...columns } = getTableColumns(leaseTable);

/** Characters of JSON that are read: more than any backend has to say. */
const MOST_DATA = 1024;

/** Columns that {@linkcode leaseOf} needs. */
export const LEASE_COLUMNS = {
  ...columns,
  nodeId: bounded(leaseTable.nodeId),
  nodeName: bounded(leaseTable.nodeName),
  subnet: bounded(leaseTable.subnet),
  publicIp: bounded(leaseTable.publicIp),
  backend: bounded(leaseTable.backend),
  backendData: bounded(leaseTable.backendData, MOST_DATA),
  bootId: bounded(leaseTable.bootId),
  agentId: bounded(leaseTable.agentId),
};

/** A row as it comes. */
export type LeaseRow = Omit<typeof leaseTable.$inferSelect, "deleted">;

/** Of the backend and its data only what knet itself reads: a newer host's are passed on as they are. */
const SHAPE = v.object({
  nodeId: v.string(),
  family: v.picklist([4, 6]),
  nodeName: v.string(),
  subnet: prefixText,
  publicIp: addressText,
  backend: word<Lease["backend"]>(),
  backendData: jsonOf(asWritten(v.object({
    mac: v.exactOptional(v.string()),
    vni: v.exactOptional(v.number()),
    probe: v.exactOptional(v.number()),
    wants: v.exactOptional(v.string()),
  }))),
  bootId: v.string(),
  agentId: v.string(),
  acquired: count,
  renewed: count,
  expires: count,
  reserved: v.pipe(v.number(), v.transform((flag) => flag !== 0)),
  revision: count,
});

/** How problems call a row. */
export function leaseName({ nodeName, subnet }: LeaseRow): string {
  return nodeName
    ? `lease of node "${visibleName(`${nodeName}`)}"`
    : `lease of ${visibleName(`${subnet}`)}`;
}

/** A row's lease. */
export function leaseOf(row: LeaseRow): Checked<Lease> {
  return checkRow(SHAPE, row, leaseName);
}

/** A lease's row. */
export function rowOfLease(lease: Lease): typeof leaseTable.$inferInsert {
  return {
    ...lease,
    backendData: JSON.stringify(lease.backendData satisfies BackendData),
    reserved: lease.reserved ? 1 : 0,
    deleted: 0,
  };
}
