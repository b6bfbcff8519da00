import assert from "node:assert/strict";
import { sampleConfig } from "../../tests/support/samples.ts";
import { openStore } from "./open.ts";
import type { Store } from "./store.ts";
import { timedStore } from "./timed_store.ts";

function listener() {
  const heard: string[] = [];
  return {
    heard,
    asked: (call: string, milliseconds: number) => {
      assert.ok(milliseconds >= 0);
      heard.push(call);
    },
    changed: () => heard.push("changed"),
    unchanged: () => heard.push("unchanged"),
  };
}

Deno.test("timedStore() passes calls through and tells of each when it has ended", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { heard, ...tell } = listener();
    await using store = timedStore(await openStore(`sqlite:${folder}/knet.db`), tell);
    assert.equal(store.engine, "sqlite");
    assert.equal(await store.getConfig(), undefined);
    await store.initConfig(sampleConfig());
    await assert.rejects(store.releaseLease("nobody"));
    const { revision } = await store.changesSince(0);
    await store.changesSince(revision);
    assert.deepEqual(heard, [
      "getConfig",
      "initConfig",
      "releaseLease",
      "changesSince",
      "unchanged",
      "changesSince",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("timedStore() tells of changes before its subscriber does anything", () => {
  const { heard, ...tell } = listener();
  const inner = {
    subscribe: (onChange: () => void) => {
      onChange();
      return { [Symbol.dispose]() {} };
    },
  } as unknown as Store;
  using _subscription = timedStore(inner, tell).subscribe(() => heard.push("subscriber"));
  assert.deepEqual(heard, ["changed", "subscriber"]);
});
