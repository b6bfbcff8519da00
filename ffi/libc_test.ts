import assert from "node:assert/strict";
import { EBADF, ENOENT } from "./errno.ts";
import { errno, libc } from "./libc.ts";

Deno.test("errno() survives what V8 does between the call and the reading", () => {
  const c = libc();
  const buffer = new Uint8Array(8);
  const path = new TextEncoder().encode("/nonexistent/knet\0");
  const garbage: unknown[] = [];
  for (let round = 0; round < 50_000; round++) {
    assert.equal(Number(c.read(-1, buffer, 8n)), -1);
    assert.equal(errno(), EBADF);
    assert.equal(c.open(path, 0, 0), -1);
    assert.equal(errno(), ENOENT);
    garbage.push(new Array(64).fill(round));
    if (garbage.length > 5_000) garbage.length = 0;
  }
});

Deno.test("libc() looks a function up once", () => {
  const { getpid } = libc();
  assert.equal(getpid(), Deno.pid);
  assert.equal(libc().getpid, getpid);
});

Deno.test("libc() has each function that its table names", () => {
  const c = libc();
  for (const name of Object.getOwnPropertyNames(c)) {
    assert.equal(typeof c[name as keyof typeof c], "function", name);
  }
});
