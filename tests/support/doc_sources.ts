/**
 * The files whose doc comments hold examples, for `deno test --doc`.
 *
 * @module
 */

/** Sources under the project's folders, the README and the manual's pages that have a fenced block of TypeScript. */
export async function docSources(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of ["mod.ts", "README.md"]) await consider(root, name, found);
  for (const folder of ["ffi", "core", "cli"]) await walk(root, folder, found);
  for await (const { name } of Deno.readDir(`${root}docs`)) {
    if (name.endsWith(".md")) await consider(root, `docs/${name}`, found);
  }
  return found;
}

async function walk(root: string, folder: string, found: string[]): Promise<void> {
  for await (const entry of Deno.readDir(`${root}${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) await walk(root, path, found);
    else if (/(?<!_test)\.ts$/.test(entry.name)) await consider(root, path, found);
  }
}

async function consider(root: string, path: string, found: string[]): Promise<void> {
  try {
    if (/^[ *]*```(?:ts|typescript)\b/m.test(await Deno.readTextFile(root + path))) {
      found.push(path);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
