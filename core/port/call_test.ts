import assert from "node:assert/strict";
import { type Call, CALL_LENGTH, isHostAddress, readCall, writeCall } from "./call.ts";

const CALL: Call = {
  kind: "question",
  port: 8473,
  cluster: new Uint8Array(16).fill(7),
  nonce: new Uint8Array(8).fill(9),
  from: "a".repeat(63),
  to: "h2.example",
};

Deno.test("readCall() reads what writeCall() writes, questions and answers, and both are of one length", () => {
  for (const kind of ["question", "answer"] as const) {
    for (const to of ["", CALL.to]) {
      const bytes = writeCall({ ...CALL, kind, to });
      assert.equal(bytes.length, CALL_LENGTH);
      assert.deepEqual(readCall(bytes), { ...CALL, kind, to });
    }
  }
});

Deno.test("readCall() takes nothing that is no call: another length, magic, version, kind, port, or names that are none", () => {
  const hurt = (at: number, ...values: number[]) => {
    const bytes = writeCall(CALL);
    bytes.set(values, at);
    return bytes;
  };
  const wrong: Record<string, Uint8Array> = {
    empty: new Uint8Array(0),
    short: writeCall(CALL).subarray(0, CALL_LENGTH - 1),
    long: new Uint8Array([...writeCall(CALL), 0]),
    magic: hurt(0, 0x4b),
    version: hurt(4, 2),
    kind: hurt(5, 3),
    port: hurt(6, 0, 0),
    "nobody calls": writeCall({ ...CALL, from: "" }),
    "a name of 64": hurt(32, 64),
    "a name of 255": hurt(96, 255),
    "a line feed in a name": writeCall({ ...CALL, from: "a\nb" }),
    "a letter beyond ASCII": hurt(33, 0xe4),
    "a path": writeCall({ ...CALL, to: "../x" }),
    "bytes behind a name": hurt(150, 1),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    assert.equal(readCall(bytes), undefined, name);
  }
});

Deno.test("isHostAddress() is false for none, loopback, groups and all", () => {
  const number = (text: string) =>
    text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  for (const text of ["192.168.1.1", "10.0.0.1", "169.254.3.4", "223.255.255.254"]) {
    assert.ok(isHostAddress(number(text)), text);
  }
  for (const text of ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"]) {
    assert.ok(!isHostAddress(number(text)), text);
  }
});
