/**
 * Services into the database, thousands in one transaction.
 *
 * @module
 */
import { sql } from "drizzle-orm";
import type { Service } from "../services/service.ts";
import { inParts } from "./parts.ts";
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
  deleted: 0,
};

/** Writes services whole. Destinations that they had before have to be gone already. */
export async function putServices(
  { db }: Pick<Transaction, "db">,
  services: readonly Service[],
  revision: number,
): Promise<void> {
  await inParts(
    services.map((service) => rowOfService(service, revision)),
    (part) =>
      db.insert(serviceTable).values(part)
        .onConflictDoUpdate({ target: serviceTable.name, set: REPLACED }),
    7,
  );
  await inParts(
    services.flatMap(({ name, destinations }) =>
      destinations.map((one) => rowOfDestination(name, one))
    ),
    (part) => db.insert(destinationTable).values(part),
    7,
  );
}
