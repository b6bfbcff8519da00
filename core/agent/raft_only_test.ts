import assert from "node:assert/strict";
import { type ByteStream, readFull } from "../store/dqlite/stream.ts";
import { raftOnly } from "./raft_only.ts";

/** A stream that says some bytes, so many at a time. */
function saying(bytes: Uint8Array, atOnce: number): ByteStream & { closed: boolean } {
  let at = 0;
  return {
    closed: false,
    read(into) {
      if (at === bytes.length) return Promise.resolve(null);
      const part = bytes.subarray(at, at + Math.min(atOnce, into.length));
      into.set(part);
      at += part.length;
      return Promise.resolve(part.length);
    },
    write: (given) => Promise.resolve(given.length),
    close() {
      this.closed = true;
    },
  };
}

/** What a client sends: the line, the protocol, and a request of a type. */
function opening(line: string, type: number): Uint8Array {
  const text = new TextEncoder().encode(`${line}\n`);
  const bytes = new Uint8Array(text.length + 8 + 8 + 16);
  bytes.set(text);
  bytes[text.length] = 1;
  bytes[text.length + 8] = 2;
  bytes[text.length + 12] = type;
  return bytes;
}

Deno.test("raftOnly() passes what one replica's library says to another on, byte for byte", async () => {
  for (const atOnce of [1, 3, 7, 1000]) {
    const bytes = opening("host/7", 11);
    const stream = saying(bytes, atOnce);
    const got = new Uint8Array(bytes.length);
    assert.ok(await readFull(raftOnly(stream), got));
    assert.deepEqual(got, bytes);
    assert.equal(stream.closed, false);
  }
});

Deno.test("raftOnly() ends a stream that asks for data, or for members, before it is asked", async () => {
  for (const type of [0, 1, 3, 5, 8, 9, 12, 13, 14, 16]) {
    for (const atOnce of [1, 5, 1000]) {
      const bytes = opening("host/7", type);
      const stream = saying(bytes, atOnce);
      const got = new Uint8Array(bytes.length);
      assert.equal(await readFull(raftOnly(stream), got), false);
      assert.ok(stream.closed);
    }
  }
});

Deno.test("raftOnly() passes the question who leads on, and ends the stream before anything that follows it", async () => {
  const whole = opening("host/7", 0);
  const question = whole.slice(0, "host/7\n".length + 8 + 8 + 8);
  question["host/7\n".length + 8] = 1;
  for (const atOnce of [1, 5, 1000]) {
    const alone = saying(question, atOnce);
    const got = new Uint8Array(question.length);
    assert.ok(await readFull(raftOnly(alone), got));
    assert.deepEqual(got, question);
    assert.equal(alone.closed, false);
    const more = saying(new Uint8Array([...question, 1]), atOnce);
    assert.equal(await readFull(raftOnly(more), new Uint8Array(question.length + 1)), false);
    assert.ok(more.closed);
  }
});

Deno.test("raftOnly() ends a stream whose first line does not end", async () => {
  const stream = saying(new Uint8Array(5000).fill(97), 100);
  assert.equal(await readFull(raftOnly(stream), new Uint8Array(5000)), false);
});
