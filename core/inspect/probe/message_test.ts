import assert from "node:assert/strict";
import {
  decodeEchoReply,
  decodeMessage,
  encodeAnswer,
  encodeEcho,
  encodeQuestion,
  hopsOf,
  SHORTEST,
} from "./message.ts";

const QUESTION = {
  heard: true,
  nonce: 0x1122334455667788n,
  subnet: 0x0af40200,
  mtu: 1450,
  length: 1422,
};

Deno.test("decodeMessage() reads what encodeQuestion() and encodeAnswer() write", () => {
  const bytes = encodeQuestion(QUESTION);
  assert.equal(bytes.length, 1422);
  assert.deepEqual(decodeMessage(bytes), { kind: "question", ...QUESTION });
  const answer = { ...QUESTION, heard: false, seen: { address: 0xc0a80265, port: 9473, ttl: 63 } };
  assert.deepEqual(decodeMessage(encodeAnswer(answer)), { kind: "answer", ...answer });
});

Deno.test("encodeAnswer() is never longer than the question: nobody gets more out than he put in", () => {
  const answer = { ...QUESTION, length: 65_000, seen: { address: 1, port: 2, ttl: 3 } };
  assert.equal(encodeAnswer(answer).length, SHORTEST);
  assert.throws(() => encodeQuestion({ ...QUESTION, length: SHORTEST - 1 }), RangeError);
});

Deno.test("decodeMessage() takes nothing that is cut, longer than it says, or somebody else's", () => {
  const bytes = encodeQuestion(QUESTION);
  for (const length of [0, 4, SHORTEST - 1, SHORTEST, 1421]) {
    assert.equal(decodeMessage(bytes.subarray(0, length)), undefined, `${length}`);
  }
  assert.equal(decodeMessage(new Uint8Array(64)), undefined);
  const kind = bytes.slice();
  kind[4] = 9;
  assert.equal(decodeMessage(kind), undefined);
});

Deno.test("encodeEcho() makes an echo request whose checksum is right; decodeEchoReply() takes its reply", () => {
  const bytes = encodeEcho(0xfedcba9876543210n, 1430);
  const view = new DataView(bytes.buffer);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  assert.equal(sum, 0xffff);
  assert.equal(decodeEchoReply(bytes), undefined); // A request.
  bytes[0] = 0;
  assert.equal(decodeEchoReply(bytes), 0xfedcba9876543210n);
  bytes[5] = 0x99; // Another program's.
  assert.equal(decodeEchoReply(bytes), undefined);
  assert.equal(decodeEchoReply(bytes.subarray(0, 12)), undefined);
});

Deno.test("hopsOf() counts from what senders begin with", () => {
  assert.deepEqual([64, 62, 128, 127, 255, 250].map(hopsOf), [0, 2, 0, 1, 0, 5]);
  assert.deepEqual([hopsOf(undefined), hopsOf(0)], [undefined, undefined]);
});
