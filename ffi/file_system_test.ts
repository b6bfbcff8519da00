import assert from "node:assert/strict";
import { roomAt } from "./file_system.ts";
import { SystemError } from "./libc.ts";

Deno.test("roomAt() is what df says, less what is written meanwhile", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const { bytes, readOnly } = roomAt(folder);
    const { stdout } = new Deno.Command("stat", { args: ["-f", "-c", "%f %S", folder] })
      .outputSync();
    const [free, size] = new TextDecoder().decode(stdout).trim().split(" ").map(Number);
    assert.ok(Math.abs(bytes - free! * size!) < 1 << 30, `${bytes} and ${free! * size!}`);
    assert.equal(readOnly, false);
  } finally {
    Deno.removeSync(folder);
  }
});

Deno.test("roomAt() throws a SystemError where there is nothing", () => {
  assert.throws(() => roomAt("/nowhere"), SystemError);
});
