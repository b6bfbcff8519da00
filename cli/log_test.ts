import assert from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { formatJson, formatText } from "./log.ts";

function record(message: unknown[], more: Partial<LogRecord> = {}): LogRecord {
  return {
    category: ["knet", "agent"],
    level: "warning",
    message,
    rawMessage: "",
    timestamp: 0,
    properties: {},
    ...more,
  };
}

Deno.test("formatText() writes time, level, category and message, in colour where asked", () => {
  const plain = { color: false, journal: false };
  assert.equal(
    formatText(record(["Store away: ", new Error("refused"), ""]), plain),
    "1970-01-01 00:00:00.000 warn  agent: Store away: refused",
  );
  assert.ok(formatText(record(["x"]), { ...plain, color: true }).includes("\u001b[33mwarn"));
});

Deno.test("formatText() gives the journal a priority and leaves the time to it", () => {
  assert.equal(
    formatText(record(["two\nlines"]), { color: false, journal: true }),
    "<4>agent: two\n<4>lines",
  );
});

Deno.test("formatJson() writes one line that parses, errors and big numbers included", () => {
  const line = formatJson(
    record(["a ", 1, " b"], { properties: { error: new Error("bad"), size: 2n ** 64n } }),
  );
  assert.equal(line.includes("\n"), false);
  assert.deepEqual(JSON.parse(line), {
    time: "1970-01-01T00:00:00.000Z",
    level: "warn",
    category: "knet.agent",
    message: "a 1 b",
    properties: { error: { name: "Error", message: "bad" }, size: "18446744073709551616" },
  });
});

Deno.test("formatText() and formatJson() hide passwords wherever they stand", () => {
  const secret = record(["at postgres://u:hunter2@db/x"], {
    properties: { url: "postgres://u:hunter2@db/x" },
  });
  assert.doesNotMatch(formatText(secret, { color: false, journal: false }), /hunter2/);
  assert.doesNotMatch(formatJson(secret), /hunter2/);
});
