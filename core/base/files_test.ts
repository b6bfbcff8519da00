import assert from "node:assert/strict";
import { join } from "node:path";
import { KnetError } from "./error.ts";
import { fileVersion, readTextIfPresent, removeIfPresent, writeFileAtomically } from "./files.ts";

function inFolder(name: string, run: (folder: string) => void): void {
  Deno.test(name, () => {
    const folder = Deno.makeTempDirSync();
    try {
      run(folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map((entry) => entry.name);

inFolder(
  "writeFileAtomically() replaces the file whole, makes the folder, leaves nothing beside it",
  (folder) => {
    const path = join(folder, "a", "file");
    writeFileAtomically(path, "one\n", 0o600, 0o700);
    writeFileAtomically(path, "två\n", 0o600, 0o700);
    assert.equal(readTextIfPresent(path), "två\n");
    assert.deepEqual(names(join(folder, "a")), ["file"]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(join(folder, "a")).mode! & 0o777, 0o700);
  },
);

inFolder("writeFileAtomically() replaces a link, not the file it leads to", (folder) => {
  const target = join(folder, "target");
  const link = join(folder, "link");
  Deno.writeTextFileSync(target, "untouched");
  Deno.symlinkSync(target, link);
  writeFileAtomically(link, "new");
  assert.equal(Deno.readTextFileSync(target), "untouched");
  assert.equal(readTextIfPresent(link), "new");
});

inFolder("writeFileAtomically() says what stood in the way and leaves the old file", (folder) => {
  const path = join(folder, "folder");
  Deno.mkdirSync(join(path, "inside"), { recursive: true });
  assert.throws(() => writeFileAtomically(path, "text"), (error) => {
    assert.ok(error instanceof KnetError);
    assert.ok(error.message.startsWith(`Cannot write "${path}": `), error.message);
    return true;
  });
  assert.deepEqual(names(folder), ["folder"]);
});

inFolder("readTextIfPresent() and removeIfPresent() do not mind what is not there", (folder) => {
  const path = join(folder, "nothing");
  assert.equal(readTextIfPresent(path), undefined);
  removeIfPresent(path);
  Deno.writeTextFileSync(path, "");
  assert.equal(readTextIfPresent(path), "");
  removeIfPresent(path);
  assert.deepEqual(names(folder), []);
  assert.throws(() => readTextIfPresent(folder), KnetError);
});

inFolder("fileVersion() is another one after every write, also of the same text", (folder) => {
  const path = join(folder, "file");
  let before = fileVersion(path);
  assert.equal(before, "");
  for (let n = 0; n < 100; n++) {
    writeFileAtomically(path, "same");
    const version = fileVersion(path);
    assert.notEqual(version, before);
    assert.equal(fileVersion(path), version);
    before = version;
  }
  removeIfPresent(path);
  assert.equal(fileVersion(path), "");
});
