import assert from "node:assert/strict";
import { blocksOf } from "./blocks.ts";

const page = (...lines: string[]) => lines.join("\n");

Deno.test("blocksOf() gives shell and SQL with their lines, and leaves other languages out", () => {
  const text = page(
    "# A",
    "```sh",
    "a",
    "b",
    "```",
    "```yaml",
    "c: 1",
    "```",
    "```sql",
    "d;",
    "```",
  );
  assert.deepEqual(blocksOf(text), [
    { line: 3, script: "a\nb", place: 1 },
    { line: 10, script: "d;", place: "database" },
  ]);
});

Deno.test("blocksOf() takes place and reason from the comment above", () => {
  const text = page(
    ...["<!-- not run: too long -->", "```sh", "a", "```"],
    ...["<!-- run on every host -->", "", "```sh", "b", "```"],
    ...["<!-- run on host 2 -->", "```sh", "c", "```"],
    ...["<!-- run in the tree -->", "```sh", "d", "```"],
  );
  assert.deepEqual(blocksOf(text).map(({ place, notRun }) => notRun ?? place), [
    "too long",
    "every host",
    2,
    "tree",
  ]);
});

Deno.test("blocksOf() runs a comment that holds lines", () => {
  const text = page("<!-- run on host 2:", "a", "b", "-->", "text");
  assert.deepEqual(blocksOf(text), [{ line: 2, script: "a\nb", place: 2 }]);
});

Deno.test("blocksOf() refuses what would silently not be run", () => {
  const refused: [string, RegExp][] = [
    [page("```", "a", "```"), /line 1: a block of language ""/],
    [page("text", "```bash", "a", "```"), /line 2: a block of language "bash"/],
    [page("```sh", "a"), /line 1: a block without an end/],
    [
      page("<!-- not run: why -->", "text", "```sh", "a", "```"),
      /line 1: a comment above no block/,
    ],
    [page("<!-- not run: why -->", "```yaml", "a", "```"), /a comment above no block/],
    [
      page("<!-- run on the moon -->", "```sh", "a", "```"),
      /line 1: a comment that is not underst/,
    ],
    [page("<!-- not run -->", "```sh", "a", "```"), /line 1: a comment that is not understood/],
  ];
  for (const [text, message] of refused) {
    assert.throws(() => blocksOf(text), { name: "SyntaxError", message });
  }
});
