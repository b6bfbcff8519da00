/**
 * Somebody else who holds the SQLite file.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";

/** Takes the exclusive lock of a database file; nobody reads or writes until it is disposed of. */
export function lockDatabase(file: string): Disposable {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA busy_timeout = 5000");
  database.exec("BEGIN EXCLUSIVE");
  return {
    [Symbol.dispose]() {
      database.exec("ROLLBACK");
      database.close();
    },
  };
}
