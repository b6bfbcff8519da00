import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { makeClusterConfig } from "../cluster/config.ts";
import { openEngine } from "../store/open.ts";
import { storeSockets, wayByAgent } from "../store/remote/agent_way.ts";
import { remoteStore } from "../store/remote/remote_store.ts";
import { StoreServer } from "../store/remote/server.ts";
import { askReach, serveReach } from "./reach.ts";
import { serveStoreSockets } from "./store_sockets.ts";

const CARRIER = {
  reach: (addresses: readonly { readonly address: string }[]) =>
    Promise.resolve(addresses.map(({ address }) => ({ address, port: 8473, nodeId: "a" }))),
};

Deno.test("serveStoreSockets() lets root change everything and the group of the other socket read, and nobody else in", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "knet-sockets-" });
  const engine = await openEngine(`sqlite:${stateDir}/knet.db`);
  try {
    using server = new StoreServer(() => ({ engine }));
    const sockets = serveStoreSockets(stateDir, {
      store: (stream, peer) => server.accept(stream, peer),
      reach: (stream) => serveReach(stream, CARRIER, (nodeId) => `name of ${nodeId}`),
    });
    const { all, reading, reaching } = storeSockets(stateDir);
    assert.deepEqual(await askReach(stateDir, [{ address: "192.0.2.1" }]), [
      { address: "192.0.2.1", port: 8473, node: "a", name: "name of a" },
    ]);
    const mode = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);
    assert.deepEqual([all, reaching, `${stateDir}/store`, reading].map(mode), [
      ...["600", "600", "700", "660"],
    ]);
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
    await assert.rejects(askReach(stateDir, [{ address: "192.0.2.1" }]), /none runs that holds/);
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
