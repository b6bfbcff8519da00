import assert from "node:assert/strict";
import { leftWithoutStore, missedWithout } from "./last_copy.ts";

const peer = (expired: boolean) => ({ expired });
const copy = (node: string, role: "voter" | "standby" | "spare" = "voter") => ({ node, role });

Deno.test("leftWithoutStore() counts the hosts that live by a copy that is the only one", () => {
  const of = (copies: ReturnType<typeof copy>[] | undefined, peers = [peer(false), peer(true)]) =>
    leftWithoutStore({
      node: { id: "one" },
      store: copies === undefined ? {} : { copies },
      peers,
    });
  assert.equal(of([copy("one")]), 1);
  assert.equal(of([copy("one"), copy("two", "spare"), copy("three", "standby")]), 1);
  assert.equal(of([copy("one"), copy("two")]), 0, "another one votes");
  assert.equal(of([copy("two")]), 0, "it is another's");
  assert.equal(of([copy("one")], [peer(true)]), 0, "nobody lives");
  assert.equal(of(undefined), 0, "the store is elsewhere");
});

Deno.test("missedWithout() names who is missing where those that vote could decide nothing without this host", () => {
  const voter = (node: string, index?: number, role: "voter" | "standby" = "voter") => ({
    ...{ node, name: `host ${node}`, role },
    ...(index !== undefined && { index }),
  });
  const [a, b, c] = [voter("a", 7), voter("b", 7), voter("c", 7)];
  assert.deepEqual(missedWithout("a", [a, b, c]), []);
  assert.deepEqual(missedWithout("a", [a, b, voter("c")]), ["host c"]);
  assert.deepEqual(missedWithout("b", [a, b, voter("c"), voter("d", 7, "standby")]), ["host c"]);
  assert.deepEqual(missedWithout("d", [a, b, voter("c"), voter("d", 7, "standby")]), [], "no vote");
  assert.deepEqual(missedWithout("a", [a, b]), [], "one decides alone");
  assert.deepEqual(missedWithout("a", [a, voter("b")]), ["host b"]);
  assert.deepEqual(missedWithout("a", [a]), [], "the last one");
  assert.deepEqual(missedWithout("a", []), [], "the store is elsewhere");
  const five = [a, b, c, voter("d", 7), voter("e")];
  assert.deepEqual(missedWithout("a", five), [], "three of four are there");
});
