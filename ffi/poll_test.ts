import assert from "node:assert/strict";
import { closeFile } from "./file.ts";
import { libc } from "./libc.ts";
import { EventPoll } from "./poll.ts";

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

function eventfd(): Disposable & { fd: number; raise(): void } {
  const fd = libc().eventfd(0, 0o4000);
  return {
    fd,
    raise: () => void libc().write(fd, ONE, 8n),
    [Symbol.dispose]: () => closeFile(fd),
  };
}

Deno.test("EventPoll.wait() returns the descriptors that are ready", async () => {
  using a = eventfd();
  using b = eventfd();
  using poll = new EventPoll();
  poll.add(a.fd);
  poll.add(b.fd);
  b.raise();
  assert.deepEqual(await poll.wait(), [b.fd]);
  a.raise();
  assert.deepEqual(await poll.wait(), [a.fd, b.fd]);
});

Deno.test("EventPoll.wait() ends in time", async () => {
  using a = eventfd();
  using poll = new EventPoll();
  poll.add(a.fd);
  const start = performance.now();
  assert.deepEqual(await poll.wait(50), []);
  const took = performance.now() - start;
  assert.ok(took >= 49 && took < 5_000, `${took}`);
  assert.deepEqual(await poll.wait(0), []);
});

Deno.test("EventPoll.wait() does not stop the event loop", async () => {
  using a = eventfd();
  using poll = new EventPoll();
  poll.add(a.fd);
  setTimeout(a.raise, 20);
  assert.deepEqual(await poll.wait(10_000), [a.fd]);
});

Deno.test("EventPoll.add() and remove() reach a wait under way", async () => {
  using a = eventfd();
  using b = eventfd();
  using poll = new EventPoll();
  poll.add(a.fd);
  const waiting = poll.wait(10_000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  poll.remove(a.fd);
  a.raise();
  poll.add(b.fd);
  b.raise();
  assert.deepEqual(await waiting, [b.fd]);
});

Deno.test("EventPoll.wake() ends the wait under way, or else the next", async () => {
  using poll = new EventPoll();
  setTimeout(() => poll.wake(), 20);
  assert.deepEqual(await poll.wait(10_000), []);
  poll.wake();
  assert.deepEqual(await poll.wait(10_000), []);
  assert.deepEqual(await poll.wait(1), []);
});

Deno.test("EventPoll.close() ends the wait under way and every later one", async () => {
  const poll = new EventPoll();
  const waiting = poll.wait();
  await new Promise((resolve) => setTimeout(resolve, 20));
  poll.close();
  poll.close();
  assert.deepEqual(await waiting, []);
  assert.deepEqual(await poll.wait(), []);
});

Deno.test("EventPoll.wait() refuses a second wait", async () => {
  using poll = new EventPoll();
  const waiting = poll.wait(20);
  await assert.rejects(poll.wait(), TypeError);
  await waiting;
});

Deno.test("EventPoll leaves no descriptor behind", async () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  for (let round = 0; round < 500; round++) {
    const poll = new EventPoll();
    const waiting = poll.wait();
    poll.close();
    await waiting;
  }
  assert.ok(count() <= before + 2);
});

Deno.test("EventPoll keeps its buffers while garbage is collected", async () => {
  // The kernel writes revents into the buffer when the call ends. Were it collected meanwhile, the
  // write would hit one of the patterned arrays that take its place, or readiness would get lost.
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const code = `
    import { EventPoll } from ${url("./poll.ts")};
    import { libc } from ${url("./libc.ts")};
    const one = new Uint8Array(new BigUint64Array([1n]).buffer);
    const fd = libc().eventfd(0, 0o4000);
    const poll = new EventPoll();
    for (let extra = 0; extra < 7; extra++) poll.add(libc().eventfd(0, 0o4000));
    poll.add(fd);
    const until = performance.now() + Number(Deno.args[0]);
    let rounds = 0;
    while (performance.now() < until) {
      const waiting = poll.wait(10_000);
      globalThis.gc();
      const fillers = [];
      for (let i = 0; i < 200; i++) fillers.push(new Uint8Array(new ArrayBuffer(72)).fill(0x5a));
      await new Promise((resolve) => setTimeout(resolve, 1));
      globalThis.gc();
      libc().write(fd, one, 8n);
      const ready = await waiting;
      if (ready.length !== 1 || ready[0] !== fd) throw new Error("lost: " + ready);
      for (const filler of fillers) {
        if (!filler.every((byte) => byte === 0x5a)) throw new Error("memory overwritten");
      }
      libc().read(fd, new Uint8Array(8), 8n);
      rounds++;
    }
    poll.close();
    console.log(rounds);
  `;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc"]
      .concat(`data:application/typescript,${encodeURIComponent(code)}`)
      .concat(Deno.env.get("KNET_TEST_GC_MS") ?? "1500"),
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(output.code, 0, new TextDecoder().decode(output.stderr));
  assert.ok(Number(new TextDecoder().decode(output.stdout)) > 5);
});
