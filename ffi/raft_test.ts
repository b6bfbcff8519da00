import assert from "node:assert/strict";
import { addressOf } from "./memory.ts";
import { hasDqlite, openDqlite } from "./deep_library.ts";
import { cString } from "./libc.ts";
import { findRaft, type RaftMarks, raftOf, readOwnMemory } from "./raft.ts";

const MARKS: RaftMarks = { id: 77, address: "node/77", electionTimeout: 900, heartbeat: 90 };
const BASE = 0x7000_0000;

/** Something like a node, whose Raft is at 64, with one word of it another one. */
function node(change: { readonly word?: number; readonly to?: bigint } = {}): Uint8Array {
  const words = new BigUint64Array(64);
  // data, tracer, io, fsm, id, address; two times of 32 bits, further on.
  words.set([0n, 5n, BigInt(BASE + 8), BigInt(BASE + 16), 77n, 4096n], 8);
  words[30] = 900n | 90n << 32n;
  if (change.word !== undefined) words[change.word] = change.to!;
  return new Uint8Array(words.buffer);
}

const read = (address: number, length: number) => address === 4096 && length === 7 ? "node/77" : "";

Deno.test("findRaft() finds it by its pointers, id, address and times, and takes nothing else for it", () => {
  assert.equal(findRaft(node(), BASE, MARKS, read), 64);
  // Times need not lie at a whole word.
  const odd = node({ word: 30, to: 900n << 32n });
  new DataView(odd.buffer).setUint32(31 * 8, 90, true);
  assert.equal(findRaft(odd, BASE, MARKS, read), 64);
  const others = [
    [10, BigInt(BASE) + 100_000n],
    [11, 0n],
    [12, 78n],
    [13, 8192n],
    [30, 900n | 91n << 32n],
  ] as const;
  for (const [word, to] of others) {
    assert.equal(findRaft(node({ word, to }), BASE, MARKS, read), undefined, `word ${word}`);
  }
  assert.equal(findRaft(node().subarray(0, 80), BASE, MARKS, read), undefined);
  const twice = node();
  twice.copyWithin(128, 64, 112);
  twice.copyWithin(304, 240, 248);
  assert.equal(findRaft(twice, BASE, MARKS, read), undefined);
});

Deno.test({
  name: "readOwnMemory() copies what there is, and nothing where there is none",
  // Functions of the C library are looked up when they are called first, and stay.
  sanitizeResources: false,
  fn() {
    const own = new Uint8Array([1, 2, 3, 4]);
    assert.deepEqual([...readOwnMemory(addressOf(own.buffer), 3)], [1, 2, 3]);
    assert.equal(readOwnMemory(16, 8).length, 0);
  },
});

Deno.test({
  name: "raftOf() finds the Raft of a real node, and its heartbeat is what it is told",
  ignore: !hasDqlite(),
  sanitizeResources: false,
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const library = openDqlite();
      const create = library.symbol("dqlite_node_create", {
        parameters: ["u64", "buffer", "buffer", "buffer"],
        result: "i32",
      });
      const setLatency = library.symbol("dqlite_node_set_network_latency_ms", {
        parameters: ["pointer", "u32"],
        result: "i32",
      });
      const out = new BigUint64Array(1);
      assert.equal(create.call(77n, cString(MARKS.address), cString(folder), out), 0);
      const made = Deno.UnsafePointer.create(out[0]!)!;
      assert.equal(setLatency.call(made, 60), 0);
      const look = (heartbeat: number) => raftOf(library, made, { ...MARKS, heartbeat });
      assert.equal(look(91), undefined);
      const raft = look(90)!;
      assert.equal(raft.lastApplied(), 0n);
      raft.setHeartbeat(270);
      assert.equal(look(90), undefined);
      assert.notEqual(look(270), undefined);
      // A node that never ran cannot be freed (dqlite.ts).
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
