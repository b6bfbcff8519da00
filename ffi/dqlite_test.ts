import assert from "node:assert/strict";
import { DqliteError, DqliteNode, recoverDqlite } from "./dqlite.ts";
import { hasDqlite } from "./deep_library.ts";

const ignore = !hasDqlite();

/** One word of the protocol, little-endian. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Asks a node who leads, by hand: version, then a request of type 0 with one word, until it knows. */
async function leaderOf(connection: Deno.Conn): Promise<string> {
  await connection.write(word(1));
  for (let tries = 0;; tries++) {
    for (const part of [word(1), word(0)]) await connection.write(part);
    const answer = new Uint8Array(64);
    const count = await connection.read(answer) ?? 0;
    const leader = new TextDecoder().decode(answer.subarray(16, count)).replaceAll("\0", "");
    if (leader !== "" || tries === 100) return leader;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A node in a fresh directory. */
async function started(folder: string, id = 1): Promise<DqliteNode> {
  return await DqliteNode.start({
    id,
    address: `node/${id}`,
    directory: folder,
    latency: 20,
    door: `${folder}/door`,
    mayTry: () => false,
  });
}

Deno.test({
  name: "DqliteNode.start() begins a cluster that this process reaches, and no other",
  ignore,
  // Functions of the C library are looked up when they are called first, and stay.
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await using node = await started(folder);
      using connection = await Deno.connect({ transport: "unix", path: node.socket });
      assert.equal(await leaderOf(connection), "node/1");
      // Its first change is who the members are.
      assert.ok(node.applied! >= 1n, `${node.applied}`);
      const script = `
        const connection = await Deno.connect({ transport: "unix", path: ${
        JSON.stringify(node.socket)
      } });
        await connection.write(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
        await connection.write(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
        await connection.write(new Uint8Array(8));
        console.log(await connection.read(new Uint8Array(64)));
      `;
      const other = await new Deno.Command(Deno.execPath(), {
        args: ["eval", script],
        stdout: "piped",
        stderr: "piped",
      }).output();
      const said = new TextDecoder().decode(other.stdout) + new TextDecoder().decode(other.stderr);
      assert.match(said, /null|reset|Broken pipe/, said);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "DqliteNode.stop() lets the directory be used again, and twice does no harm",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      for (let round = 0; round < 20; round++) {
        const node = await started(folder);
        await node.stop();
        await node.stop();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "DqliteNode.start() says what is the matter with a directory that is not there",
  ignore,
  async fn() {
    await assert.rejects(started("/nowhere/at/all"), DqliteError);
  },
});

Deno.test({
  name: "recoverDqlite() makes a cluster of one out of a member's copy",
  ignore,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await (await started(folder)).stop();
      recoverDqlite({ id: 7, address: "node/7", directory: folder });
      await using node = await started(folder, 7);
      using connection = await Deno.connect({ transport: "unix", path: node.socket });
      assert.equal(await leaderOf(connection), "node/7");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
