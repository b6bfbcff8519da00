import assert from "node:assert/strict";
import { leftWithoutStore } from "./last_copy.ts";

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
