/**
 * Services into the database, thousands in one transaction.
 *
 * @module
 */
import { sql } from "drizzle-orm";
import type { Service } from "../services/service.ts";
import { insertMany } from "./bulk.ts";
import { destinationTable, serviceTable } from "./schema.ts";
import { rowOfDestination, rowOfService } from "./service_rows.ts";
import type { Transaction } from "./transaction.ts";

const given = (column: { readonly name: string }) => sql`excluded.${sql.identifier(column.name)}`;

/** What a service's row takes over from the one that was to be inserted. */
const REPLACED = {
  vip: given(serviceTable.vip),
  port: given(serviceTable.port),
  protocol: given(serviceTable.protocol),
  options: given(serviceTable.options),
  revision: given(serviceTable.revision),
  deleted: given(serviceTable.deleted),
};

/** Writes services whole. Destinations that they had before have to be gone already. */
export async function putServices(
  tx: Pick<Transaction, "db" | "query">,
  services: readonly Service[],
  revision: number,
): Promise<void> {
  const { db } = tx;
  await insertMany(
    tx,
    serviceTable,
    services.map((service) => rowOfService(service, revision)),
    (part) =>
      db.insert(serviceTable).values(part)
        .onConflictDoUpdate({ target: serviceTable.name, set: REPLACED }),
  );
  await insertMany(
    tx,
    destinationTable,
    services.flatMap(({ name, destinations }) =>
      destinations.map((one) => rowOfDestination(name, one))
    ),
    (part) => db.insert(destinationTable).values(part),
  );
}
