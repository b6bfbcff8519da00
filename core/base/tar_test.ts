import assert from "node:assert/strict";
import { tar } from "./tar.ts";

const entry = (name: string, text: string) => ({ name, content: new TextEncoder().encode(text) });

Deno.test("tar() makes what tar reads, empty files and full blocks too", async () => {
  const entries = [
    entry("a/one.txt", "one\n"),
    entry("a/empty", ""),
    entry("a/full", "x".repeat(512)),
  ];
  const folder = await Deno.makeTempDir({ prefix: "knet-tar-" });
  try {
    await Deno.writeFile(`${folder}/x.tar`, tar(entries, 1_700_000_000));
    const { success, stderr } = await new Deno.Command("tar", {
      args: ["-xf", "x.tar"],
      cwd: folder,
    })
      .output();
    assert.ok(success, new TextDecoder().decode(stderr));
    for (const { name, content } of entries) {
      assert.deepEqual(await Deno.readFile(`${folder}/${name}`), content, name);
    }
    const { mode, mtime } = await Deno.stat(`${folder}/a/one.txt`);
    assert.equal(mode! & 0o777, 0o600);
    assert.equal(mtime!.getTime(), 1_700_000_000_000);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tar() refuses a name that the format has no room for", () => {
  assert.throws(() => tar([entry("x".repeat(101), "")], 0), /longer than 100 bytes/);
});
