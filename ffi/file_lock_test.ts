import assert from "node:assert/strict";
import { FileLock, holder } from "./file_lock.ts";

const CHILD = `
  const { FileLock } = await import(Deno.args[0]);
  const lock = FileLock.acquire(Deno.args[1]);
  console.log(lock === undefined ? "refused" : "held");
  await new Promise((resolve) => setTimeout(resolve, Number(Deno.args[2])));
`;

function child(path: string, ms: number): Deno.Command {
  const module = new URL("./file_lock.ts", import.meta.url).href;
  const code = `data:application/javascript,${encodeURIComponent(CHILD)}`;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", code, module, path, `${ms}`],
    stdout: "piped",
    stderr: "null",
  });
}

Deno.test("FileLock.acquire() refuses a second holder, in this process and in another", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/agent.lock`;
  try {
    assert.equal(holder(path), undefined);
    const lock = FileLock.acquire(path);
    assert.ok(lock);
    assert.equal(holder(path), Deno.pid);
    assert.equal(Deno.readTextFileSync(path), `${Deno.pid}\n`);
    assert.equal(FileLock.acquire(path), undefined);
    const output = await child(path, 0).output();
    assert.equal(new TextDecoder().decode(output.stdout), "refused\n");
    lock[Symbol.dispose]();
    lock[Symbol.dispose]();
    assert.equal(holder(path), undefined);
    using again = FileLock.acquire(path);
    assert.ok(again);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("FileLock of a process that was killed is free, though its file names the dead", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/agent.lock`;
  try {
    const process = child(path, 60_000).spawn();
    const reader = process.stdout.getReader();
    await reader.read();
    assert.equal(holder(path), process.pid);
    assert.equal(FileLock.acquire(path), undefined);
    process.kill("SIGKILL");
    await process.status;
    await reader.cancel();
    assert.equal(Deno.readTextFileSync(path), `${process.pid}\n`);
    assert.equal(holder(path), undefined);
    using lock = FileLock.acquire(path);
    assert.ok(lock);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("FileLock.acquire() throws where it cannot write", () => {
  assert.throws(() => FileLock.acquire("/nonexistent/agent.lock"), { code: "ENOENT" });
});

Deno.test("FileLock.acquire() lets nobody else open the file, nor one that an older knet left open to all", () => {
  const folder = Deno.makeTempDirSync();
  try {
    for (const left of [false, true]) {
      const path = `${folder}/${left}.lock`;
      if (left) Deno.writeTextFileSync(path, "1\n");
      if (left) Deno.chmodSync(path, 0o666);
      using lock = FileLock.acquire(path);
      assert.ok(lock);
      assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
