/**
 * Every folder of sources has a page that says what it is for and who may import it.
 *
 * @module
 */
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

/** Folders with sources in them, from the root. */
function folders(folder: string): string[] {
  const entries = [...Deno.readDirSync(`${root}${folder}`)];
  const below = entries.filter((entry) => entry.isDirectory)
    .flatMap(({ name }) => folders(`${folder}/${name}`));
  const own = entries.some(({ isFile, name }) => isFile && name.endsWith(".ts"));
  return own || below.length > 0 ? [folder, ...below] : below;
}

Deno.test("each folder of cli, core and ffi has a README that begins with its name", () => {
  const without = ["cli", "core", "ffi"].flatMap(folders).filter((folder) => {
    try {
      const name = folder.slice(folder.lastIndexOf("/") + 1);
      return !Deno.readTextFileSync(`${root}${folder}/README.md`).startsWith(`# ${name}: `);
    } catch {
      return true;
    }
  });
  assert.deepEqual(without, []);
});
