import assert from "node:assert/strict";
import { sleep } from "./clock.ts";
import { firstOf } from "./first_of.ts";

const LONG = 60_000;
const never = () => new Promise<string>(() => {});
const fails = (why: string) => () => Promise.reject(new Error(why));

Deno.test("firstOf() goes on at once when one fails, and after a while when one is silent", async () => {
  assert.equal(await firstOf([fails("x"), () => Promise.resolve("b")], LONG, () => {}), "b");
  assert.equal(await firstOf([never, () => Promise.resolve("b")], 1, () => {}), "b");
});

Deno.test("firstOf() tries no more than it has to", async () => {
  let tried = 0;
  await firstOf([() => Promise.resolve(1), () => Promise.resolve(tried = 2)], 1, () => {});
  await sleep(10);
  assert.equal(tried, 0);
});

Deno.test("firstOf() hands over what came too late", async () => {
  const slow = Promise.withResolvers<string>();
  const late: string[] = [];
  const first = await firstOf([() => slow.promise, () => Promise.resolve("quick")], 1, (one) => {
    late.push(one);
  });
  slow.resolve("slow");
  await sleep(0);
  assert.deepEqual([first, late], ["quick", ["slow"]]);
});

Deno.test("firstOf() throws all errors in the order of the ways", async () => {
  await assert.rejects(firstOf([fails("a"), fails("b")], LONG, () => {}), (error) => {
    assert.ok(error instanceof AggregateError);
    assert.deepEqual(error.errors.map(({ message }) => message), ["a", "b"]);
    return true;
  });
  await assert.rejects(firstOf([], LONG, () => {}), AggregateError);
});
