import assert from "node:assert/strict";
import { bySeenDown, seenDownText } from "./seen_down.ts";

const down = (service: string, realServer: string, detail: string) => ({
  ...{ service, realServer, detail },
});

const told = [
  { node: "a", paths: [], down: [down("web", "10.244.0.5:80", "connection refused")] },
  {
    ...{ node: "b", paths: [] },
    down: [
      down("web", "10.244.0.5:80", "no answer in time"),
      down("db", "10.244.1.5:5432", "no\x1b[31m way"),
    ],
  },
  // An older knet.
  { node: "c", paths: [] },
];

Deno.test("bySeenDown() tells of each real server who sees it down, and who does not", () => {
  assert.deepEqual(bySeenDown(told), [
    {
      ...{ service: "db", realServer: "10.244.1.5:5432", up: ["a"] },
      down: [{ node: "b", detail: "no\x1b[31m way" }],
    },
    {
      ...{ service: "web", realServer: "10.244.0.5:80", up: [] },
      down: [
        { node: "a", detail: "connection refused" },
        { node: "b", detail: "no answer in time" },
      ],
    },
  ]);
  assert.deepEqual(bySeenDown([]), []);
});

Deno.test("seenDownText() names hosts that tell nothing, and lets no host write on the terminal", () => {
  const text = seenDownText(told, ["d"]);
  assert.match(text, /^web +10\.244\.0\.5:80 +a, b +- +connection refused; no answer in time$/m);
  assert.match(text, /^db +10\.244\.1\.5:5432 +b +a +/m);
  assert.match(text, /Do not tell: d, c$/);
  assert.match(text, /no\\x1b\[31m way/);
  const quiet = seenDownText([{ node: "a", paths: [], down: [] }], []);
  assert.equal(quiet, "No real server fails a check of the hosts that tell: a");
});
