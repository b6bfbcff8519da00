/**
 * What an error of Postgres, or of the way to it, means for whoever asked.
 *
 * @module
 */
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import { droppedTable } from "./emptied.ts";

/**
 * - `again`: the transaction lost to another one and may simply be repeated;
 * - `crowd`: the server has no connection to spare now;
 * - `elsewhere`: this server takes no writes, another one may;
 * - `away`: it cannot be reached or does not get to it now, and may later;
 * - `refused`: the administrator has to do something.
 */
export type PostgresTrouble = "again" | "crowd" | "elsewhere" | "away" | "refused";

/** SQLSTATE classes and codes (PostgreSQL, appendix A). */
const AGAIN = /^(40001|40P01)$/;
const CROWD = /^(53300)$/;
const ELSEWHERE = /^(25006)$/;
/** Connections, resources, shutdown and start; time-outs of statements, locks and idle transactions. */
const AWAY = /^(08...|53...|57P0[0-5]|57014|55P03|25P0[34]|58...)$/;

/** The SQLSTATE of an error of the server's; undefined for one of the way to it. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  // Only what the server said has a severity; EPIPE has five letters, too.
  return typeof code === "string" && severity !== undefined ? code : undefined;
}

/** Sorts an error. */
export function troubleOf(error: unknown): PostgresTrouble {
  if (error instanceof StoreAwayError) return "away";
  if (error instanceof KnetError) return "refused";
  const code = sqlStateOf(error);
  // No word of the server's: the connection ended, or never came to be.
  if (code === undefined) return "away";
  if (AGAIN.test(code)) return "again";
  if (CROWD.test(code)) return "crowd";
  if (ELSEWHERE.test(code)) return "elsewhere";
  return AWAY.test(code) ? "away" : "refused";
}

/** Whether a table is not there (42P01): somebody has dropped it. */
export function isUndefinedTable(error: unknown): boolean {
  return sqlStateOf(error) === "42P01";
}

const REACH = "Check that the server runs and that this host reaches it";

/** Remedies by SQLSTATE. */
const REMEDIES: Readonly<Record<string, string>> = {
  "53300": "Raise max_connections of the server, or let fewer programs use it",
  "57014": "Look at the server's load; knet waits 5 s for an answer",
  "55P03": "Look for what holds a lock on knet's tables (pg_locks); knet goes on trying",
  "25006":
    "The server takes no writes: name the primary in the store's URL, or all servers of the cluster",
  "28P01": "Check KNET_STORE in /etc/default/knet, PGPASSFILE, and the server's pg_hba.conf",
  "28000": "Check KNET_STORE in /etc/default/knet, PGPASSFILE, and the server's pg_hba.conf",
  "3D000": "Create the database, or correct its name in the store's URL",
  "3F000": "Create the schema, or correct ?schema= in the store's URL",
  "42501": "Grant the user the right to create and use tables in its schema",
};

/** User, password, database, schema and rights are what the settings say of a server: it will not change its mind by itself. */
const SETTINGS = /^(28...|3D000|3F000|42501)$/;

/** Whether an error of {@linkcode postgresError} is a server's refusal of what the store's URL names. */
export function refusedBySettings(error: KnetError): boolean {
  return !(error instanceof StoreAwayError) && SETTINGS.test(sqlStateOf(error.cause) ?? "");
}

/** The error as people are told. */
export function postgresError(location: string, error: unknown): KnetError {
  if (error instanceof KnetError) return error;
  const about = `Cannot use the database ${location}`;
  const code = sqlStateOf(error);
  const trouble = troubleOf(error);
  if (trouble !== "refused") {
    return new StoreAwayError(`${about}: ${messageOf(error)}`, {
      cause: error,
      remedy: REMEDIES[code ?? ""] ?? REACH,
    });
  }
  const dropped = isUndefinedTable(error) && droppedTable(`database ${location}`, messageOf(error));
  if (dropped) return dropped;
  const refusesUser = code === "28P01" || code === "28000";
  const state = refusesUser ? "the server refuses the user or password" : messageOf(error);
  const remedy = REMEDIES[code ?? ""];
  return new KnetError(`${about}: ${state}`, {
    ...(remedy !== undefined && { remedy }),
    cause: error,
  });
}
