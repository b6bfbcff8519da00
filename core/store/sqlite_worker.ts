/**
 * Holds the SQLite database in a thread of its own, so that a held lock or a dead file server never stops the agent.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { collectGarbage } from "../../ffi/garbage.ts";
import type { SqlValue } from "./engine.ts";

/** A request to the worker. */
export type SqliteRequest =
  | { readonly id: number; readonly open: string; readonly busyTimeout: number }
  | { readonly id: number; readonly sql: string; readonly parameters: readonly SqlValue[] };

/** Its answer. */
export interface SqliteAnswer {
  readonly id: number;
  readonly rows?: Record<string, SqlValue>[];
  readonly error?: { readonly message: string; readonly code: number };
}

// Deno's type library has no worker scope beside the window's.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<SqliteRequest>) => void;
  postMessage(answer: SqliteAnswer): void;
};

let database: DatabaseSync | undefined;
const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();

function statement(sql: string): ReturnType<DatabaseSync["prepare"]> {
  let prepared = statements.get(sql);
  if (prepared === undefined) {
    prepared = database!.prepare(sql);
    statements.set(sql, prepared);
  }
  return prepared;
}

// node:fs would cost more than everything else here together.
function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

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
      const fresh = !exists(request.open);
      database = new DatabaseSync(request.open);
      if (fresh) Deno.chmodSync(request.open, 0o600);
      database.exec(`pragma busy_timeout = ${request.busyTimeout}`);
      return { id };
    }
    // By name: Deno 2.4 cannot bind values to numbered parameters by their position.
    const named = Object.fromEntries(request.parameters.map((value, n) => [`?${n + 1}`, value]));
    const rows = statement(request.sql).all(named) as Record<string, SqlValue>[];
    if (rows.length >= MANY_ROWS) collectSoon();
    return { id, rows };
  } catch (error) {
    const { message, errcode } = error as { message: string; errcode?: number };
    return { id, error: { message, code: errcode ?? 0 } };
  }
}

scope.onmessage = (event) => scope.postMessage(serve(event.data));
