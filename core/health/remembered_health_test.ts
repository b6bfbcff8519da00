import assert from "node:assert/strict";
import { join } from "node:path";
import { NO_MEMORY, readMemory, type ServiceMemory, writeMemory } from "./remembered_health.ts";

Deno.test("readMemory() gives back what writeMemory() kept, and warns of what makes no sense", () => {
  const folder = Deno.makeTempDirSync();
  const path = join(folder, "services.json");
  const warned: string[] = [];
  const read = () => readMemory(path, (sentence) => warned.push(sentence));
  try {
    assert.deepEqual(read(), NO_MEMORY);
    const memory: ServiceMemory = {
      version: 1,
      drained: [["web", "10.244.1.1:80", 7]],
      down: ["tcp 10.244.1.1:80"],
    };
    writeMemory(path, memory);
    assert.deepEqual(read(), memory);
    assert.deepEqual(warned, []);
    const broken: [unknown, RegExp][] = [
      [null, /it is null/],
      [{ ...memory, version: 2 }, /unknown version 2/],
      [{ ...memory, drained: {} }, /drained is Object, not Array/],
      [{ ...memory, drained: [["web"]] }, /drained\.0\.1/],
      [{ ...memory, down: [7] }, /down\.0 is 7, not string/],
    ];
    for (const [document, pattern] of broken) {
      Deno.writeTextFileSync(path, JSON.stringify(document));
      assert.deepEqual(read(), NO_MEMORY);
      assert.match(warned.at(-1)!, pattern);
      assert.match(warned.at(-1)!, /^Cannot use ".*services\.json": /);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
