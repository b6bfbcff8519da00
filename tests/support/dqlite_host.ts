/**
 * One host's replica in a process of its own: `dqlite_host.ts FOLDER NAME [SEED]`. Prints its address when it is a member.
 *
 * @module
 */
import { startHost } from "./dqlite.ts";

const [folder, name, seed] = Deno.args;
const host = await startHost(
  folder!,
  name!,
  seed === undefined ? { begin: true } : { seeds: [seed] },
);
console.log(host.replica.address);
setInterval(() => {}, 60_000);
