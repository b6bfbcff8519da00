import assert from "node:assert/strict";
import { writeFd } from "./file.ts";
import { openNewFifo } from "./fifo.ts";
import { SystemError } from "./libc.ts";
import { openPlainFile, readPlainFile } from "./plain_file.ts";

Deno.test("openPlainFile() has what it is told next stand behind what it read, and opens nothing else", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/file`;
    Deno.writeTextFileSync(path, "question");
    {
      const { file: opened, text } = openPlainFile(path, 8);
      using file = opened;
      assert.equal(text, "question");
      writeFd(file.fd, new TextEncoder().encode(" answer"));
    }
    assert.equal(readPlainFile(path, 100), "question answer");
    assert.throws(() => openPlainFile(path, 8), RangeError);
    Deno.symlinkSync(path, `${folder}/link`);
    assert.equal(readPlainFile(`${folder}/link`, 100), "question answer");
    using _pipe = openNewFifo(`${folder}/pipe`, 0o600);
    for (const name of ["link", "pipe", "."]) {
      assert.throws(() => openPlainFile(`${folder}/${name}`, 100), TypeError, name);
    }
    assert.throws(() => openPlainFile(`${folder}/none`, 100), SystemError);
    assert.equal(readPlainFile(`${folder}/none`, 100), undefined);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
