import assert from "node:assert/strict";
import { cutProgram } from "./denort.ts";

/** An ELF header whose two section headers of 64 bytes begin at 100, and what comes after. */
function program(after: string): Uint8Array<ArrayBuffer> {
  const tail = new TextEncoder().encode(after);
  const bytes = new Uint8Array(228 + tail.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0x28, 100n, true);
  view.setUint16(0x3a, 64, true);
  view.setUint16(0x3c, 2, true);
  bytes.set(tail, 228);
  return bytes;
}

Deno.test("cutProgram() leaves the ELF image of a compiled program", () => {
  assert.equal(cutProgram(program("d3n0l4nd and a module graph")).length, 228);
});

Deno.test("cutProgram() refuses a program that deno compile did not make", () => {
  assert.throws(() => cutProgram(program("something else")), /not made by deno compile/);
});
