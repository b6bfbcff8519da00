import assert from "node:assert/strict";
import { parseMounts, readMounts } from "./mounts.ts";

Deno.test("parseMounts() reads path and type, with and without optional fields", () => {
  const text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
    "36 35 98:0 /root /mnt/a\\040b rw master:1 shared:2 - nfs4 server:/srv rw\n";
  assert.deepEqual(parseMounts(text), [
    { path: "/proc", type: "proc" },
    { path: "/mnt/a b", type: "nfs4" },
  ]);
});

Deno.test("readMounts() finds the root and /proc of this host", () => {
  const mounts = readMounts();
  assert.ok(mounts.some(({ path }) => path === "/"));
  assert.ok(mounts.some(({ path, type }) => path === "/proc" && type === "proc"));
});
