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

Deno.test("table() cuts the widest columns where a terminal is narrower, and says where something is missing", () => {
  const rows = [["web", "10.96.0.10", "a health check that failed with a long sentence"]];
  const plain = (_tone: unknown, text: string) => text;
  const lines = table(["service", "vip", "detail"], rows, plain, 40).split("\n");
  assert.deepEqual(lines, [
    "SERVICE  VIP         DETAIL",
    "web      10.96.0.10  a health check tha…",
  ]);
  const wide = rows.map((row) => [...row, ...row]);
  for (const most of [75, 90, 120]) {
    const cut = table(["a", "b", "c", "d", "e", "f"], wide, plain, most);
    for (const line of cut.split("\n")) assert.ok(line.length <= most, line);
    assert.match(cut, /web {2}10\.96\.0\.10/);
  }
  // With all columns narrow it would say nothing any more.
  assert.doesNotMatch(table(["service", "vip", "detail"], rows, plain, 12), /…/);
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
