/**
 * Many commands at one moment on a SQLite file that is not there yet: somebody's lock is waited for, wherever SQLite meets it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { scratch } from "../cli/run_knet.ts";

const ROUNDS = 4;
const AT_ONCE = 8;

Deno.test("knet init by many at once on a fresh file fails for none", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await using at = await scratch();
    const outcomes = await Promise.all(Array.from({ length: AT_ONCE }, () => at.knet("init")));
    assert.deepEqual(outcomes.filter(({ code }) => code !== 0).map(({ stderr }) => stderr), []);
  }
});

Deno.test("knet lease reserve by many at once fails for none, and each has its subnet", async () => {
  await using at = await scratch();
  await at.knet("init");
  const many = Array.from({ length: 24 }, (_, n) => n + 1);
  const outcomes = await Promise.all(
    many.map((n) => at.knet(`lease reserve 10.244.${n}.0/24 --public-ip 192.168.9.${n}`)),
  );
  assert.deepEqual(outcomes.filter(({ code }) => code !== 0).map(({ stderr }) => stderr), []);
  const { stdout } = await at.knet("lease ls --json");
  assert.equal((JSON.parse(stdout) as { leases: unknown[] }).leases.length, many.length);
});
