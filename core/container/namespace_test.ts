import assert from "node:assert/strict";
import { isOf } from "./namespace.ts";

const wire = { ifname: "eth0", hostIfname: "kv1" };
const there = () => true;
const elsewhere = () => false;

Deno.test("isOf() goes by the cookie where the kernel has one, and asks for no wire then", () => {
  const namespace = { fd: 3, inode: "4:4026532000", id: "cookie:7" };
  assert.ok(isOf({ ...wire, netnsId: "cookie:7" }, namespace, elsewhere));
  assert.ok(!isOf({ ...wire, netnsId: "cookie:6" }, namespace, there));
});

Deno.test("isOf() believes a number that may have returned only where the recorded wire leads there", () => {
  const old = { ...wire, netnsId: "4:4026532000" };
  for (const id of ["cookie:7", "4:4026532000"]) {
    const namespace = { fd: 3, inode: "4:4026532000", id };
    assert.ok(isOf(old, namespace, there));
    assert.ok(!isOf(old, namespace, elsewhere));
    assert.ok(!isOf({ ...old, netnsId: "4:4026532001" }, namespace, there));
  }
});
