// Three replicas in three processes: the leader is killed, a majority is, all come again in another order.
import assert from "node:assert/strict";
import { StoreAwayError } from "../../core/base/error.ts";
import { wayByDoor } from "../../core/store/dqlite/door.ts";
import { dqliteEngine } from "../../core/store/dqlite/engine.ts";
import { readMembersFile } from "../../core/store/dqlite/identity.ts";

const SCRIPT = new URL("../support/dqlite_host.ts", import.meta.url).pathname;

/** Starts a host, and tells its address. */
async function host(folder: string, name: string, seed?: string) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", SCRIPT, folder, name, ...(seed === undefined ? [] : [seed])],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const address = new TextDecoder().decode(value).trim();
  return {
    address,
    async kill() {
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
    },
  };
}

Deno.test({
  name:
    "dqliteEngine() goes on without a killed leader, says that a majority is missing, and has all when they are back",
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "knet-dqlite-" });
    const a = await host(folder, "a");
    const b = await host(folder, "b", a.address);
    const c = await host(folder, "c", a.address);
    const running = new Set([a, b, c]);
    try {
      const votes = () => readMembersFile(`${folder}/b`).filter(({ role }) => role === "voter");
      while (votes().length < 3) await new Promise((resolve) => setTimeout(resolve, 100));
      const engine = dqliteEngine(wayByDoor(`${folder}/b`), 5000);
      const write = (value: number) =>
        engine.write((query) => query("insert into trial values ($1)", [value]));
      const read = () => engine.read((query) => query("select x from trial order by x"));
      await engine.write((query) => query("create table trial (x integer)"));
      for (let n = 0; n < 20; n++) await write(n);
      await a.kill();
      running.delete(a);
      await write(20);
      assert.equal((await read()).length, 21);
      await c.kill();
      running.delete(c);
      await assert.rejects(write(99), (error) => {
        assert.ok(error instanceof StoreAwayError);
        return true;
      });
      await assert.rejects(
        read(),
        /no majority: of the 3 hosts that vote, 2 are needed and 1 answer \(b; missing: a, c\)/,
      );
      running.add(await host(folder, "c", b.address));
      running.add(await host(folder, "a", b.address));
      await write(21);
      assert.deepEqual(
        (await read()).slice(0, 21).map(([x]) => x),
        Array.from({ length: 21 }, (_, n) => n),
      );
      await engine.close();
    } finally {
      for (const one of running) await one.kill();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
