import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { makeClusterConfig } from "../cluster/config.ts";
import { openEngine } from "../store/open.ts";
import { storeSockets, wayByAgent } from "../store/remote/agent_way.ts";
import { remoteStore } from "../store/remote/remote_store.ts";
import { StoreServer } from "../store/remote/server.ts";
import { serveStoreSockets } from "./store_sockets.ts";

Deno.test("serveStoreSockets() lets root change everything and the group of the other socket read, and nobody else in", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "knet-sockets-" });
  const engine = await openEngine(`sqlite:${stateDir}/knet.db`);
  try {
    using server = new StoreServer(() => ({ engine }));
    const sockets = serveStoreSockets(stateDir, (stream, peer) => server.accept(stream, peer));
    const { all, reading } = storeSockets(stateDir);
    const mode = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);
    assert.deepEqual([all, `${stateDir}/store`, reading].map(mode), ["600", "700", "660"]);
    {
      await using root = remoteStore(wayByAgent(stateDir, "dqlite:/x"));
      await root.initConfig(makeClusterConfig({}));
      const way = { ...wayByAgent(stateDir, "dqlite:/x") };
      await using member = remoteStore({
        ...way,
        dial: () => Deno.connect({ transport: "unix", path: reading }),
      });
      assert.deepEqual(await member.getConfig(), makeClusterConfig({}));
      await assert.rejects(
        member.reserveLease("10.244.7.0/24", "192.168.2.7"),
        /who may only read is not allowed to/,
      );
      await assert.rejects(member.editServices("all", () => ({ result: 0 })), /not allowed to/);
    }
    sockets[Symbol.dispose]();
    await using late = remoteStore(wayByAgent(stateDir, "dqlite:/x"));
    await assert.rejects(late.getConfig(), (error) => {
      assert.ok(error instanceof KnetError);
      assert.match(error.message, /this host's agent holds it, and does not run/);
      assert.match(error.remedy ?? "", /Start it/);
      return true;
    });
  } finally {
    await engine.close();
    await Deno.remove(stateDir, { recursive: true });
  }
});
