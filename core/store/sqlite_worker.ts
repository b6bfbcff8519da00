/**
 * Holds a SQLite database in a thread of its own, so that a dead file server never stops the agent.
 *
 * @module
 */
import { collectGarbage } from "../../ffi/garbage.ts";
import type { Row, SqlValue } from "./engine.ts";
import { openSqlite, type SqliteConnection } from "./sqlite_connection.ts";
import { type PostedError, postError, sqliteError } from "./sqlite_error.ts";

/** A request to the worker: the first opens the database. */
export type SqliteRequest =
  | { readonly id: number; readonly open: string; readonly existing: boolean }
  | { readonly id: number; readonly sql: string; readonly parameters: readonly SqlValue[] };

/** Its answer. */
export interface SqliteAnswer {
  readonly id: number;
  readonly rows?: Row[];
  readonly error?: PostedError;
}

// Deno's type library has no worker scope beside the window's.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<SqliteRequest>) => void;
  postMessage(answer: SqliteAnswer): void;
};

let connection: SqliteConnection | undefined;
let path = "";

/** A thread that waits collects nothing by itself, and every cluster-wide read is garbage as soon as it is posted. */
const MANY_ROWS = 1000;
let collection: ReturnType<typeof setTimeout> | undefined;

function collectSoon(): void {
  clearTimeout(collection);
  collection = setTimeout(collectGarbage, 500);
}

function serve(request: SqliteRequest): SqliteAnswer {
  const { id } = request;
  try {
    if ("open" in request) {
      path = request.open;
      connection = openSqlite(path, request.existing);
      return { id };
    }
    const rows = connection!.run(request.sql, request.parameters);
    if (rows.length >= MANY_ROWS) collectSoon();
    return { id, rows };
  } catch (error) {
    return { id, error: postError(sqliteError(path, error)) };
  }
}

scope.onmessage = (event) => scope.postMessage(serve(event.data));
