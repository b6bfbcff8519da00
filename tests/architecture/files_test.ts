/**
 * Each file tells what it is for, and is as long as one idea takes.
 *
 * @module
 */
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

/** Lines that one idea takes; what takes more says why in its head comment ("Longer than others …"). */
const MOST_LINES = 300;

function sources(folder: string): string[] {
  return [...Deno.readDirSync(root + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(path);
    return name.endsWith(".ts") ? [path] : [];
  });
}

const files = ["cli", "core", "ffi", "dist", "tests"].flatMap(sources)
  .map((path) => ({ path, text: Deno.readTextFileSync(root + path) }));

/** The comment that a file begins with. */
function head(text: string): string {
  return /^(?:\/\*\*.*?\*\/|(?:\/\/[^\n]*\n)+)/s.exec(text)?.[0] ?? "";
}

Deno.test(`no file is longer than ${MOST_LINES} lines without a reason in its head`, () => {
  const long = files.filter(({ text }) =>
    text.split("\n").length - 1 > MOST_LINES && !/longer than/i.test(head(text))
  );
  assert.deepEqual(long.map(({ path }) => path), []);
});

Deno.test("every source begins with a comment that says what it is for", () => {
  const silent = files.filter(({ path, text }) => !path.endsWith("_test.ts") && head(text) === "");
  assert.deepEqual(silent.map(({ path }) => path), []);
});
