// A store that is closed does not wait for the calls that wait for each other: an agent that stops has others' in its hands.
import assert from "node:assert/strict";
import { engines } from "../support/store_engines.ts";

const CALLS = 250;

for (const [name, start] of Object.entries(engines)) {
  Deno.test(`Closing a store (${name}) refuses what has not begun`, async () => {
    await using engine = await start();
    await engine.fresh({}, async (store, other) => {
      const calls = Array.from(
        { length: CALLS },
        (_, n) => store.reserveLease(`10.244.${n}.0/24`, `192.168.2.${n + 1}`),
      );
      const settled = Promise.allSettled(calls);
      await store[Symbol.asyncDispose]();
      const outcomes = await settled;
      const refused = outcomes.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
      assert.equal(outcomes.at(-1)?.status, "rejected");
      for (const reason of refused) assert.match(`${reason}`, /closed/);
      // Of the one that was under way nobody can tell.
      const { length } = (await other.listLeases()).leases;
      const done = CALLS - refused.length;
      assert.ok(length === done || length === done + 1, `${length} reserved, ${done} done`);
    });
  });
}
