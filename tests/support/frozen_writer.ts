/**
 * Holds the cluster's write lock in Postgres and says so: `frozen_writer.ts URL`. Whoever runs it freezes it then.
 *
 * @module
 */
import { postgresEngine } from "../../core/store/postgres.ts";

const engine = postgresEngine(Deno.args[0]!, 5000);
await engine.write(async () => {
  console.log("holding");
  await new Promise(() => {});
});
