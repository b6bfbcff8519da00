/**
 * The figures of the overlay: `deno task bench [--only entries|agent|startup] [--sizes N,N] [--runs N]`.
 *
 * @module
 */
import { setUp } from "../setup.ts";
import { measureEntries } from "./entries.ts";
import { entriesTable } from "./report.ts";

const root = new URL("../../", import.meta.url).pathname;
const out = `${root}tests/out`;
const say = (text: string) => console.error(`bench: ${text}`);

const { results, limitMissing } = await measureEntries(
  (Deno.args[0] ?? "1000,5000,20000").split(",").map(Number),
  Number(Deno.args[1] ?? 7),
  say,
);
console.log(entriesTable(results, limitMissing));
