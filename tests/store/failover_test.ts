// Postgres that fails over: which server serves is asked of the servers, and everybody finds the new one.
import assert from "node:assert/strict";
import { StoreAwayError } from "../../core/base/error.ts";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import type { Store } from "../../core/store/store.ts";
import { requestOf } from "../support/lease_driver.ts";
import { startPair } from "../support/postgres_pair.ts";
import { ms, report, sleep } from "../support/wait.ts";

const addresses = new Map<string, string>();

/** Asks as a host of its own. */
function request(node: string) {
  const address = addresses.get(node) ?? `192.168.2.${addresses.size + 1}`;
  addresses.set(node, address);
  return requestOf(node, address);
}

/** Writes until one is taken; milliseconds that it took. */
async function writesAgain(store: Store, node: string): Promise<number> {
  const begin = performance.now();
  for (;;) {
    try {
      await store.acquireLease(request(node));
      return performance.now() - begin;
    } catch (error) {
      assert.ok(error instanceof StoreAwayError, String(error));
      await sleep(100);
    }
  }
}

/** Follows a store as an agent does. */
function follow(store: Store): Disposable & { changes: number; states: string[] } {
  const seen = {
    changes: 0,
    states: [] as string[],
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
  const subscription = store.subscribe(
    () => seen.changes++,
    (state, detail) => seen.states.push(`${state}: ${detail}`),
  );
  return seen;
}

/** A change by one is told to the other at once, not by its slow look. */
async function tells(writer: Store, reader: { changes: number; states: string[] }, node: string) {
  for (let n = 0; !reader.states.at(-1)?.startsWith("notify"); n++) {
    assert.ok(n < 200, `it listens nowhere: ${reader.states.join(" | ")}`);
    await sleep(100);
  }
  const before = reader.changes;
  await writer.acquireLease(request(node));
  for (let n = 0; reader.changes === before; n++) {
    assert.ok(n < 50, "nobody was told of a change");
    await sleep(100);
  }
}

Deno.test("A pair of Postgres servers", async (t) => {
  await using pair = await startPair();
  const { first, second, url } = pair;
  await using writer = await openStore(url);
  await using reader = await openStore(url);
  await writer.initConfig(makeClusterConfig({}));
  using seen = follow(reader);

  await t.step("the primary serves, wherever it stands in the URL", async () => {
    await using other = await openStore(
      `postgres://knet@127.0.0.1:${second.port},127.0.0.1:${first.port}/postgres`,
    );
    await other.acquireLease(request("one"));
    await tells(writer, seen, "two");
    assert.equal((await reader.listLeases()).leases.length, 2);
  });

  await t.step(
    "the primary is killed, the standby promoted: writes and notifications go on",
    async () => {
      await first.stop("immediate");
      await assert.rejects(
        writer.acquireLease(request("three")),
        (error) => error instanceof StoreAwayError && /is a standby/.test(error.message),
      );
      await second.promote();
      report(`fail-over, killed: writes after ${ms(await writesAgain(writer, "three"))}`);
      await tells(writer, seen, "four");
      assert.equal((await reader.listLeases()).leases.length, 4);
    },
  );

  await t.step("the old primary comes back and takes writes: nobody falls for it", async () => {
    await first.start();
    assert.equal(await first.sql("select pg_is_in_recovery()"), "f");
    reader.reset();
    writer.reset();
    await tells(writer, seen, "five");
    assert.equal(await first.sql("select count(*) from knet_leases"), "2");
    assert.equal(await second.sql("select count(*) from knet_leases"), "5");
    // As an agent does.
    const { mark } = await writer.changesSince(0);
    assert.equal(mark.server?.timeline, 2);
    writer.expect({ ...mark, revision: 0 });
    // Who starts now finds the right one, whichever it is told first.
    for (const [one, other] of [[first, second], [second, first]] as const) {
      await using starting = await openStore(
        `postgres://knet@127.0.0.1:${one.port},127.0.0.1:${other.port}/postgres`,
      );
      assert.equal((await starting.listLeases()).leases.length, 5);
    }
    await second.stop("immediate");
    await assert.rejects(
      writer.acquireLease(request("six")),
      /its server was replaced by another primary \(timeline 1, this host knows 2\)/,
    );
    // It is there to be adopted; who knows nothing of the other one cannot tell.
    assert.equal((await reader.listLeases()).leases.length, 2);
    await second.start();
    for (const store of [writer, reader]) {
      store.reset();
      assert.equal((await store.listLeases()).leases.length, 5);
    }
    await first.stop();
    await first.follow(second);
  });

  await t.step("the primary answers nothing and hangs up on nobody", async () => {
    await writer.acquireLease(request("six"));
    await second.freeze("STOP");
    await first.promote();
    report(`fail-over, frozen: writes after ${ms(await writesAgain(writer, "seven"))}`);
    await tells(writer, seen, "eight");
    await second.freeze("CONT");
    await second.stop("immediate");
    await second.follow(first);
  });

  await t.step("switched over on purpose", async () => {
    await first.stop("fast");
    await second.promote();
    report(`switch-over: writes after ${ms(await writesAgain(writer, "nine"))}`);
    await tells(writer, seen, "ten");
    const subnets = (await reader.listLeases()).leases.map(({ subnet }) => subnet);
    assert.equal(new Set(subnets).size, subnets.length);
  });
});
