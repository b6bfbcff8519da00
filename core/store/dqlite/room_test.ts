import assert from "node:assert/strict";
import { whyNoRoom } from "./room.ts";

const MIB = 1 << 20;

Deno.test("whyNoRoom() lets nobody write where nothing can be written", () => {
  assert.equal(whyNoRoom({ bytes: 1e12, readOnly: true }, "run"), "its file system is read-only");
});

Deno.test("whyNoRoom() asks for more of one that begins or comes back than of one that runs", () => {
  const at = (mib: number, what: "first" | "run" | "return") =>
    whyNoRoom({ bytes: mib * MIB, readOnly: false }, what);
  assert.equal(at(24, "run"), undefined);
  assert.equal(at(23, "run"), "its file system has 23 MiB left, and 24 are needed");
  assert.equal(at(39, "return"), "its file system has 39 MiB left, and 40 are needed");
  assert.equal(at(40, "return"), undefined);
  assert.equal(at(63, "first"), "its file system has 63 MiB left, and 64 are needed");
  assert.equal(at(64, "first"), undefined);
});
