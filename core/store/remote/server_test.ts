import assert from "node:assert/strict";
import { makeClusterConfig } from "../../cluster/config.ts";
import { KnetError, StoreAwayError } from "../../base/error.ts";
import { serveStore } from "../../../tests/support/remote_store.ts";
import { addressOfNode, requestOf } from "../../../tests/support/lease_driver.ts";
import type { ByteStream } from "../dqlite/stream.ts";
import { readMessage } from "./messages.ts";
import { remoteAdmin, remoteStore } from "./remote_store.ts";
import type { Peer } from "./server.ts";

const join = (node: string) => requestOf(node, addressOfNode(node));

/** A store of one file behind a server, with a cluster in it. */
async function served(peer?: Peer, wrap?: (stream: ByteStream) => ByteStream) {
  const folder = await Deno.makeTempDir({ prefix: "knet-remote-test-" });
  const store = await serveStore(`sqlite:${folder}/knet.db`, peer, wrap);
  await using admin = await serveStore(`sqlite:${folder}/knet.db`);
  await using first = remoteStore(admin.way);
  await first.initConfig(makeClusterConfig({}));
  return {
    ...store,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A message's bytes as they travel. */
function framed(body: string | Uint8Array, length?: number): Uint8Array {
  const text = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const bytes = new Uint8Array(4 + text.length);
  new DataView(bytes.buffer).setUint32(0, length ?? text.length);
  bytes.set(text, 4);
  return bytes;
}

const HELLO = framed('{"protocol":1,"knet":"x"}');

/** Sends bytes, and returns what comes back until the server has done with them. */
async function send(path: string, ...parts: Uint8Array[]): Promise<unknown[]> {
  using connection = await Deno.connect({ transport: "unix", path });
  const answers: unknown[] = [];
  try {
    for (const part of parts) await connection.write(part);
    await connection.closeWrite();
    for (;;) {
      const message = await readMessage(connection);
      if (message === undefined) break;
      answers.push(message);
    }
  } catch {
    // The server closed it.
  }
  return answers;
}

Deno.test("StoreServer lets a host change its own lease and no other, and nobody else anything", async () => {
  await using host = await served({ role: "node", nodeId: "one" });
  await using store = remoteStore(host.way);
  const { lease } = await store.acquireLease(join("one"));
  const refused = (error: unknown) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, 4);
    assert.match(error.message, /is not allowed to/);
    return true;
  };
  await assert.rejects(store.acquireLease(join("two")), refused);
  await assert.rejects(store.releaseLease(lease.subnet), refused);
  await assert.rejects(store.reserveLease("10.244.9.0/24", "192.168.2.9"), refused);
  await assert.rejects(store.pruneLeases(), refused);
  await assert.rejects(store.editServices("all", () => ({ result: 1 })), refused);
  await assert.rejects(store.initConfig(makeClusterConfig({}), { replace: true }), refused);
  await using admin = remoteAdmin(host.way);
  await assert.rejects(admin.backup(), refused);
  await assert.rejects(admin.adopt(undefined), refused);
  const change = { agentId: lease.agentId, put: [], remove: ["kv2"] };
  await store.putContainers({ nodeId: "one", ...change });
  await assert.rejects(store.putContainers({ nodeId: "two", ...change }), refused);
  // That its subnet is reserved is not its own word.
  const announced = await store.announceLease({ ...lease, reserved: true });
  assert.equal(announced.state === "held" && announced.lease.reserved, false);
  await store.releaseLease("one", { force: true });
  assert.equal((await store.listLeases()).leases.length, 0);
});

Deno.test("StoreServer is not hurt by what makes no sense, and says so where it can", async () => {
  await using host = await served({ role: "node", nodeId: "one" });
  const ask = (call: unknown, given: unknown) =>
    framed(JSON.stringify({ id: 1, call, arguments: given }));
  const garbage: Uint8Array[][] = [
    [new Uint8Array(0)],
    [new Uint8Array([1, 2])],
    [framed("", 0xffffffff)],
    [framed("{}")],
    [framed("null")],
    [framed("GET / HTTP/1.1\r\n\r\n")],
    [framed('{"protocol":2,"knet":"x"}')],
    [HELLO, framed("[1,2]")],
    [HELLO, framed("{".repeat(1000))],
    [HELLO, framed("[".repeat(30_000) + "]".repeat(30_000))],
    [HELLO, framed(new Uint8Array([0x22, 0xff, 0xfe, 0x22]))],
    [HELLO, framed("x", 70_000)],
    [HELLO, ask("__proto__", {})],
    [HELLO, ask("constructor", {})],
    [HELLO, ask(["getConfig"], {})],
    [HELLO, framed('{"id":"1","call":"getConfig","arguments":{}}')],
  ];
  for (const parts of garbage) await send(host.path, ...parts);
  for (let n = 0; n < 200; n++) {
    const bytes = crypto.getRandomValues(new Uint8Array(1 + n * 3));
    await send(host.path, ...(n % 2 ? [HELLO, framed(bytes)] : [bytes]));
  }
  const [, wrong] = await send(host.path, HELLO, ask("changesSince", { revision: "all" }));
  assert.deepEqual((wrong as { error: { exitCode: number } }).error.exitCode, 2);
  // What a newer knet asks is no reason to send it away.
  for (const call of ["listSomething", "__proto__", "constructor"]) {
    const [, unknown] = await send(host.path, HELLO, ask(call, {}));
    assert.match(JSON.stringify(unknown), /knet [^ ]+ does not know it/);
  }
  const long = { request: { ...join("one"), nodeName: "x".repeat(2000), backendData: [{}] } };
  const [, tooLong] = await send(host.path, HELLO, ask("acquireLease", long));
  assert.match(JSON.stringify(tooLong), /Cannot answer the request/);
  await using store = remoteStore(host.way);
  assert.equal((await store.acquireLease(join("one"))).how, "new");
  assert.equal(host.server.connections, 1);
});

Deno.test("Link does not send a write again whose answer was lost: it was made once", async () => {
  let lose = false;
  let writes = 0;
  await using host = await served({ role: "admin" }, (stream) => ({
    read: (into) => stream.read(into),
    close: () => stream.close(),
    write(bytes) {
      if (!lose || !new TextDecoder().decode(bytes).includes("10.244.7.0")) {
        return stream.write(bytes);
      }
      writes++;
      stream.close();
      return Promise.reject(new Deno.errors.BrokenPipe("cut"));
    },
  }));
  await using store = remoteStore(host.way);
  lose = true;
  await assert.rejects(store.reserveLease("10.244.7.0/24", "192.168.2.107"), (error) => {
    assert.ok(error instanceof StoreAwayError);
    assert.match(error.message, /^Cannot tell whether the store .* took the change/);
    assert.match(error.remedy ?? "", /Look what the store holds/);
    return true;
  });
  assert.equal(writes, 1);
  lose = false;
  const { leases, revision } = await store.listLeases();
  assert.deepEqual(leases.map(({ subnet }) => subnet), ["10.244.7.0/24"]);
  // What is safe to say twice comes to the same.
  await store.reserveLease("10.244.7.0/24", "192.168.2.107");
  assert.equal((await store.listLeases()).leases.length, 1);
  assert.ok(revision > 0);
});

Deno.test("Link asks a read again whose answer was lost, and a follower is told by the next server", async () => {
  const cut: ByteStream[] = [];
  await using host = await served({ role: "admin" }, (stream) => {
    cut.push(stream);
    return stream;
  });
  const dialed: string[] = [];
  const way = {
    ...host.way,
    servers: () => ["gone", "here", "too"],
    dial(server: string) {
      dialed.push(server);
      if (server === "gone") return Promise.reject(new StoreAwayError("nobody is there"));
      return host.way.dial(server);
    },
  };
  await using store = remoteStore(way);
  let told = 0;
  const states: string[] = [];
  using _following = store.subscribe(() => told++, (state) => states.push(state));
  const until = async (what: () => boolean) => {
    for (let tries = 0; !what(); tries++) {
      assert.ok(tries < 300, JSON.stringify({ told, states, dialed }));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await until(() => told > 0 && states.includes("notify"));
  assert.deepEqual(dialed.slice(0, 2), ["gone", "here"]);
  const before = told;
  await store.reserveLease("10.244.7.0/24", "192.168.2.107");
  await until(() => told > before);
  for (const stream of cut.splice(0)) stream.close();
  assert.equal((await store.listLeases()).leases.length, 1);
  await until(() => states.includes("away") && states.at(-1) === "notify");
  assert.equal(dialed.at(-1), "too");
  const again = told;
  await store.reserveLease("10.244.8.0/24", "192.168.2.108");
  await until(() => told > again);
});

Deno.test("Link says which servers did not answer, and why", async () => {
  const way = {
    location: "dqlite:/x",
    servers: () => ["a", "b"],
    dial: (server: string) => Promise.reject(new Error(`${server} is off`)),
  };
  await using store = remoteStore(way);
  await assert.rejects(store.getConfig(), (error) => {
    assert.ok(error instanceof StoreAwayError);
    assert.equal(error.message, "Cannot use the store dqlite:/x: a: a is off; b: b is off");
    assert.match(error.remedy ?? "", /network goes on/);
    return true;
  });
});

Deno.test("Conversation gives up a server that falls silent", async () => {
  await using host = await served({ role: "admin" }, (stream) => {
    let stuck = 0;
    return {
      read: (into) => stream.read(into),
      close: () => stream.close(),
      write: (bytes) => stuck++ > 0 ? new Promise(() => {}) : stream.write(bytes),
    };
  });
  await using store = remoteStore(host.way, 300);
  const began = performance.now();
  await assert.rejects(store.listLeases(), StoreAwayError);
  assert.ok(performance.now() - began < 2000);
});
