/**
 * Writes the manual pages to dist/man: `deno task man`.
 *
 * @module
 */
import { COMMANDS } from "../cli/commands.ts";
import { manPages } from "../cli/man.ts";
import { globalOptions } from "../cli/shared_options.ts";
import { VERSION } from "../cli/version.ts";

const folder = new URL("./man/", import.meta.url).pathname;
Deno.mkdirSync(folder, { recursive: true });
for (const [name, text] of await manPages(COMMANDS, { version: VERSION, globalOptions })) {
  Deno.writeTextFileSync(folder + name, text);
}
console.log(folder);
