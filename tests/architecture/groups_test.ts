/**
 * Each test file is run by some group of `deno task test`: what no group has stays green by never running.
 *
 * @module
 */
import assert from "node:assert/strict";
import { E2E, endToEndPath, FOLDERS, TASKS } from "../support/groups.ts";

const root = new URL("../../", import.meta.url).pathname;

/** What `deno test` takes for a test file in a folder. */
const IS_TEST = /(^|[/_.])test\.(ts|tsx|mts|js|mjs|jsx)$/;

function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(root + folder)].flatMap(({ name, isDirectory }) => {
    if (name.startsWith(".") || name === "node_modules") return [];
    const path = folder === "" ? name : `${folder}/${name}`;
    if (isDirectory) return testFiles(path);
    return IS_TEST.test(name) ? [path] : [];
  });
}

const files = testFiles("");

/** Those that no group has. */
function unrun(paths: readonly string[]): string[] {
  const folders: readonly string[] = [...Object.values(FOLDERS), ...Object.values(TASKS)].flat();
  const endToEnd = new Set(E2E.map(({ name }) => endToEndPath(name)));
  return paths.filter((path) =>
    !endToEnd.has(path) && !folders.some((folder) => path.startsWith(`${folder}/`))
  );
}

Deno.test("every test file is in a group that runs", () => {
  assert.ok(files.length > 150, `${files.length} files were found`);
  assert.deepEqual(unrun(files), []);
});

Deno.test("what has a task of its own has it", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
  for (const task of Object.keys(TASKS)) assert.ok(task in tasks, task);
});

Deno.test("a test file in a folder of no group is found, wherever it lies", () => {
  const lost = ["tests/e2e/new_test.ts", "tests/sim/dice_test.ts", "mod_test.ts", "docs/test.ts"];
  assert.deepEqual(unrun(["core/base/plural_test.ts", ...lost]), lost);
});

Deno.test("every end-to-end file that is listed is there, once, and every folder has tests", () => {
  const names = E2E.map(({ name }) => name);
  assert.deepEqual(names, [...new Set(names)]);
  for (const name of names) assert.ok(files.includes(endToEndPath(name)), name);
  for (const folder of Object.values(FOLDERS).flat()) {
    assert.ok(files.some((path) => path.startsWith(`${folder}/`)), folder);
  }
});

Deno.test("the module of all tests for the virtual machine has each file of them", () => {
  const folder = FOLDERS.vm[0];
  const module = Deno.readTextFileSync(`${root}${folder}/all.ts`);
  const named = [...module.matchAll(/^import "\.\/(\S+)";/gm)].map((match) =>
    `${folder}/${match[1]}`
  );
  assert.deepEqual(named, files.filter((path) => path.startsWith(`${folder}/`)).toSorted());
});
