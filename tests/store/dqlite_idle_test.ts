/**
 * Who follows the hosts' own store asks the one that leads when there is something new, not all the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { sleep } from "../../core/base/clock.ts";
import { dqliteEngine } from "../../core/store/dqlite/engine.ts";
import type { Way } from "../../core/store/dqlite/leader.ts";
import { sqlStore } from "../../core/store/sql_store.ts";
import { hasDqlite } from "../../ffi/deep_library.ts";
import { startThree } from "../support/dqlite.ts";
import { until } from "../support/wait.ts";

/** Milliseconds in which nothing happens. */
const IDLE = 4000;

/** The way, and what was sent on it that asks for news. */
function counted(way: Way): { readonly way: Way; readonly count: () => number } {
  let count = 0;
  const dial = async (address: string) => {
    const stream = await way.dial(address);
    return {
      read: (into: Uint8Array) => stream.read(into),
      write(bytes: Uint8Array) {
        if (new TextDecoder().decode(bytes).includes("group_concat(value)")) count++;
        return stream.write(bytes);
      },
      close: () => stream.close(),
    };
  };
  return { way: { ...way, dial }, count: () => count };
}

Deno.test({
  name: "a follower asks once a second while nothing happens, and is told of what others write",
  ignore: !hasDqlite(),
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    await using three = await startThree();
    const [first, second] = three.hosts;
    const writer = dqliteEngine(second!.replica.way, 5000);
    const store = sqlStore(writer, () => {}, () => {});
    await store.initConfig(makeClusterConfig({}));
    const { way, count } = counted(first!.replica.way);
    const engine = dqliteEngine(way, 5000);
    let told = 0;
    const states: string[] = [];
    const subscription = engine.subscribe(() => told++, (state) => void states.push(state));
    try {
      await until("it follows", () => told === 1);
      const before = count();
      await sleep(IDLE);
      const asked = count() - before;
      // Five times as many where the copy does not say how far it is.
      assert.ok(asked >= 1 && asked <= IDLE / 1000 + 1, `${asked}`);
      assert.deepEqual([told, states], [1, ["poll"]]);
      await store.initConfig(makeClusterConfig({ leaseTtl: 7200 }), { replace: true });
      await until("it is told", () => told === 2);
    } finally {
      subscription[Symbol.dispose]();
      await engine.close();
      await writer.close();
    }
  },
});
