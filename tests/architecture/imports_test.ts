/**
 * The house stands as design.md draws it: cli above core above ffi, in core one level above the other, and no circle.
 *
 * @module
 */
import assert from "node:assert/strict";
import { circles, type Graph, readGraph, upwards } from "./graph.ts";

const graph = await readGraph(new URL("../../", import.meta.url).pathname);

Deno.test("imports run downwards only", () => {
  assert.deepEqual(upwards(graph), []);
});

Deno.test("imports make no circle", () => {
  assert.deepEqual(circles(graph), []);
});

Deno.test("upwards() names both files of an arrow that runs up, and a file that is on no level", () => {
  const wrong: Graph = new Map([
    ["core/base/mac.ts", ["core/store/open.ts", "ffi/heap.ts"]],
    ["core/loose.ts", []],
    ["ffi/heap.ts", ["core/base/mac.ts"]],
  ]);
  assert.deepEqual(upwards(wrong), [
    "core/base/mac.ts imports core/store/open.ts",
    "core/loose.ts is on no level",
    "ffi/heap.ts imports core/base/mac.ts",
  ]);
});

Deno.test("circles() names the files of a circle in their order, once", () => {
  const wrong: Graph = new Map([
    ["a.ts", ["b.ts", "d.ts"]],
    ["b.ts", ["c.ts"]],
    ["c.ts", ["a.ts"]],
    ["d.ts", []],
    ["e.ts", ["e.ts"]],
  ]);
  assert.deepEqual(circles(wrong), ["a.ts → b.ts → c.ts → a.ts", "e.ts → e.ts"]);
});
