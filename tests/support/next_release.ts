/**
 * A binary of the release after this one: the same, with another version, and a table and a column more in the store.
 *
 * @module
 */
import { exec } from "./exec.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** What a binary is made of. */
const PARTS = ["cli", "core", "ffi", "dist", "mod.ts", "deno.json", "deno.lock", "LICENSE"];

/** What it calls itself. */
export const NEXT_VERSION = "0.1.999";

/** Makes it; the folder that it is in goes with what is returned. */
export async function makeNextRelease(): Promise<AsyncDisposable & { readonly binary: string }> {
  const folder = await Deno.makeTempDir({ prefix: "knet-next-" });
  const made = {
    binary: `${folder}/dist/knet`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  try {
    await exec(["cp", "-r", ...PARTS.map((part) => `${ROOT}${part}`), folder]);
    await exec(["rm", "-rf", `${folder}/dist/knet`, `${folder}/dist/packages`]);
    await replace(`${folder}/core/base/version.ts`, /"[\d.]+"/, `"${NEXT_VERSION}"`);
    await replace(`${folder}/deno.json`, /"version": "[\d.]+"/, `"version": "${NEXT_VERSION}"`);
    const added = [
      'CREATE TABLE "knet_next" ("name" text PRIMARY KEY NOT NULL, "value" text NOT NULL);',
      'ALTER TABLE "knet_leases" ADD COLUMN "next" text;',
    ];
    const file = `${folder}/core/store/migrations/embedded.ts`;
    await replace(file, /\n\];\s*$/, `\n  ${JSON.stringify(added)},\n];\n`);
    const line = [Deno.execPath(), "run", "-A", `${folder}/dist/compile.ts`];
    await exec(line, { env: { NO_COLOR: "1" }, timeout: 600_000 });
    return made;
  } catch (error) {
    await made[Symbol.asyncDispose]();
    throw error;
  }
}

async function replace(file: string, what: RegExp, by: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  if (!what.test(text)) throw new Error(`${file} has nothing like ${what}`);
  await Deno.writeTextFile(file, text.replace(what, () => by));
}
