/**
 * Changes rows behind the store's back.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import postgres from "postgres";
import { monotonicClock } from "../../core/base/clock.ts";
import { wayByDoor } from "../../core/store/dqlite/door.ts";
import { LeaderFinder } from "../../core/store/dqlite/leader.ts";

/** Runs statements in the database that a store's URL names, in one transaction. */
export async function byHand(url: string, ...statements: string[]): Promise<void> {
  if (url.startsWith("sqlite:")) {
    const database = new DatabaseSync(url.slice("sqlite:".length));
    // Agents take the lock for moments.
    database.exec("pragma busy_timeout = 10000");
    database.exec(`begin immediate; ${statements.join("; ")}; commit`);
    database.close();
    return;
  }
  if (url.startsWith("dqlite:")) {
    const way = wayByDoor(url.slice("dqlite:".length));
    using leader = await new LeaderFinder(way).connect(monotonicClock() + 10_000);
    await leader.open();
    for (const sql of ["begin immediate", ...statements, "commit"]) await leader.run(sql);
    return;
  }
  const schema = new URL(url).searchParams.get("schema")!;
  const sql = postgres(url.split("?")[0]!, { max: 1, onnotice: () => {} });
  await sql.unsafe(`set search_path to ${schema}`);
  await sql.unsafe(statements.join("; "));
  await sql.end();
}
