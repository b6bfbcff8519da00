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
