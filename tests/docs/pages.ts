/**
 * The pages for people that this project has.
 *
 * @module
 */

const root = new URL("../../", import.meta.url);

/** Paths of README, CONTRIBUTING and the manual's pages from the root of the tree. */
export function pages(): string[] {
  const manual = [...Deno.readDirSync(new URL("docs", root))].map(({ name }) => `docs/${name}`);
  return ["README.md", "CONTRIBUTING.md", ...manual.filter((name) => name.endsWith(".md")).sort()];
}

/** The text of a file of the tree. */
export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, root));
}
