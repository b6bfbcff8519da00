import assert from "node:assert/strict";
import { watchDirectory } from "./inotify.ts";

const soon = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

Deno.test("watchDirectory() tells of a removed, a written and a moved file, and of nothing that is read", async () => {
  const directory = Deno.makeTempDirSync();
  const outside = Deno.makeTempFileSync();
  let told = 0;
  let heard = Promise.withResolvers<void>();
  const next = async (act: () => void) => {
    heard = Promise.withResolvers();
    act();
    await heard.promise;
  };
  try {
    using _watch = watchDirectory(directory, () => {
      told++;
      heard.resolve();
    });
    await next(() => Deno.writeTextFileSync(`${directory}/a`, "1"));
    await next(() => Deno.renameSync(outside, `${directory}/b`));
    await next(() => Deno.removeSync(`${directory}/a`));
    await soon(20);
    const before = told;
    Deno.readTextFileSync(`${directory}/b`);
    Deno.statSync(`${directory}/b`);
    await soon(50);
    assert.equal(told, before);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("watchDirectory() is silent after its end and keeps no process alive", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    let told = 0;
    const watch = watchDirectory(directory, () => told++);
    watch[Symbol.dispose]();
    Deno.writeTextFileSync(`${directory}/a`, "1");
    await soon(50);
    assert.equal(told, 0);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("watchDirectory() names a directory that is not there", () => {
  assert.throws(
    () => watchDirectory("/nonexistent/d", () => {}),
    /watch "\/nonexistent\/d": ENOENT/,
  );
});
