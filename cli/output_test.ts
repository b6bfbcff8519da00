import assert from "node:assert/strict";
import { duration, relative, table, wantsColor } from "./output.ts";

Deno.test("table() aligns columns by their text, not by their colour codes", () => {
  const painted = table(
    ["node", "state", "note"],
    [["a", { text: "ok", tone: "good" }, ""], ["host-2", { text: "missing", tone: "bad" }, "x"]],
    (_tone, text) => `<${text}>`,
  );
  assert.deepEqual(painted.split("\n"), [
    "<NODE>    <STATE>    <NOTE>",
    "a       <ok>       -",
    "host-2  <missing>  x",
  ]);
});

Deno.test("duration() gives the two largest units", () => {
  assert.equal(duration(0), "0 s");
  assert.equal(duration(45_000), "45 s");
  assert.equal(duration(90_000), "1 min 30 s");
  assert.equal(duration(86_400_000), "1 d");
  assert.equal(duration(90_061_000), "1 d 1 h");
});

Deno.test("relative() tells past from future", () => {
  assert.equal(relative(5_000, 0), "in 5 s");
  assert.equal(relative(0, 5_000), "5 s ago");
});

Deno.test("wantsColor() only on a terminal, and not where NO_COLOR is set", () => {
  const terminal = { isTerminal: () => true };
  const env = (held: Record<string, string>) => (name: string) => held[name];
  assert.equal(wantsColor(terminal, env({})), true);
  assert.equal(wantsColor(terminal, env({ NO_COLOR: "1" })), false);
  assert.equal(wantsColor(terminal, env({ NO_COLOR: "" })), true);
  assert.equal(wantsColor(terminal, env({ TERM: "dumb" })), false);
  assert.equal(wantsColor({ isTerminal: () => false }, env({})), false);
});
