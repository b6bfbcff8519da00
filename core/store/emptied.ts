/**
 * A store of which somebody has emptied, hidden or dropped what cannot be there by itself.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";

/**
 * Somebody has emptied the counters, by which the store is known: whoever wrote first would make another store of it. Or a table is
 * gone. Exit code 4.
 */
export class EmptiedStoreError extends KnetError {
  override readonly name = "EmptiedStoreError";

  /**
   * @param where What was emptied, for the message.
   * @param what What of it is gone.
   */
  constructor(
    where = "store",
    what = "its counters are gone: somebody has emptied knet_meta, or hidden it from this user",
  ) {
    super(`Cannot use the ${where}: ${what}`, {
      exitCode: 4,
      remedy: "Run knet store adopt on a host that has joined, or restore a backup",
    });
  }
}

/** What SQLite and Postgres say of a table that is not there. */
const NO_TABLE =
  /no such table: (?:main\.)?(knet_\w+)|relation "(?:\w+\.)?(knet_\w+)" does not exist/;

/**
 * The error for a statement that named a table of knet's which is not there; undefined for every other failure.
 *
 * @param where What was emptied, for the message.
 * @param message What the engine said.
 */
export function droppedTable(where: string, message: string): EmptiedStoreError | undefined {
  const said = NO_TABLE.exec(message);
  if (said === null) return undefined;
  return new EmptiedStoreError(where, `somebody has dropped its table ${said[1] ?? said[2]}`);
}
