import assert from "node:assert/strict";
import { monotonicClock } from "../base/clock.ts";
import { libc } from "../../ffi/libc.ts";
import { connectionsDecided } from "../../ffi/tcp.ts";
import type { ActiveCheck } from "../services/check_kinds.ts";
import { Checker, checkKey } from "./checker.ts";

// Opens the C library, which stays open, outside of any test.
libc();
connectionsDecided([]);

const pace = { interval: 100, timeout: 100, rise: 2, fall: 2 };
const tcp = { type: "tcp", ...pace } as const;

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = monotonicClock() + 10_000;
  while (!holds()) {
    if (monotonicClock() > deadline) throw new Error(`Not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Accepts connections on loopback and closes them. */
function acceptor(port = 0): { readonly port: number } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  void (async () => {
    for await (const connection of listener) connection.close();
  })();
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}

Deno.test("Checker takes a real server out when it dies and brings it back", async () => {
  const changes: string[] = [];
  using checker = new Checker({
    onChange: (key) => changes.push(`${key} ${checker.isDown(key) ? "down" : "up"}`),
  });
  const server = acceptor();
  const key = checker.add("127.0.0.1", server.port, tcp);
  await until("it is known", () => checker.health(key)!.known);
  assert.deepEqual(changes, []);
  server[Symbol.dispose]();
  await until("it is down", () => checker.isDown(key));
  assert.equal(checker.health(key)!.detail, "connection refused");
  using _again = acceptor(server.port);
  await until("it is up", () => !checker.isDown(key));
  assert.deepEqual(changes, [`${key} down`, `${key} up`]);
});

Deno.test("Checker asks by HTTP: 2xx and 3xx pass, other status, silence and gibberish do not", async () => {
  using checker = new Checker({ onChange: () => {} });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    return new Response("x".repeat(100_000), { status: Number(pathname.slice(1)) });
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const held: Deno.Conn[] = [];
  let answer = "";
  void (async () => {
    for await (const connection of listener) {
      held.push(connection);
      if (answer !== "") await connection.write(new TextEncoder().encode(answer));
    }
  })();
  const http = (path: string) => ({ type: "http", path, ...pace, fall: 1 } as const);
  const { port } = server.addr;
  const outcome = async (target: number, path: string) => {
    const key = checker.add("127.0.0.1", target, http(path));
    await until(`${path} is known`, () => checker.health(key)!.known);
    const { up, detail } = checker.health(key)!;
    checker.remove(key);
    return [up, detail];
  };
  assert.deepEqual(await outcome(port, "/200"), [true, ""]);
  assert.deepEqual(await outcome(port, "/302"), [true, ""]);
  assert.deepEqual(await outcome(port, "/404"), [false, "status 404"]);
  assert.deepEqual(await outcome(port, "/503"), [false, "status 503"]);
  assert.deepEqual(await outcome(listener.addr.port, "/"), [false, "no answer in time"]);
  answer = "SSH-2.0-OpenSSH_9.2\r\n";
  assert.deepEqual(await outcome(listener.addr.port, "/"), [false, "the answer is not HTTP"]);
  for (const connection of held) connection.close();
  listener.close();
  await server.shutdown();
});

Deno.test("Checker starts with what failed before as down", () => {
  const key = checkKey("127.0.0.1", 1, tcp);
  using checker = new Checker({ onChange: () => {}, down: new Set([key]) });
  checker.add("127.0.0.1", 1, tcp);
  checker.add("127.0.0.1", 2, tcp);
  assert.equal(checker.isDown(key), true);
  assert.deepEqual(checker.downKeys(), [key]);
});

Deno.test("Checker takes what failed before for down once only: later it is as unknown as any", () => {
  const key = checkKey("127.0.0.1", 1, tcp);
  using checker = new Checker({ onChange: () => {}, down: new Set([key]) });
  checker.add("127.0.0.1", 1, tcp);
  checker.remove(key);
  checker.add("127.0.0.1", 1, tcp);
  assert.equal(checker.isDown(key), false);
  // Also where the caller knew it to be down himself.
  using other = new Checker({ onChange: () => {}, down: new Set([key]) });
  other.add("127.0.0.1", 1, tcp, true);
  other.remove(key);
  other.add("127.0.0.1", 1, tcp);
  assert.equal(other.isDown(key), false);
});

Deno.test("Checker never has more sockets than allowed, and gets round to all of them", async () => {
  let most = 0;
  const asked = new Set<number>();
  let now = 0;
  const checker = new Checker({
    onChange: () => {},
    inFlight: 5,
    probe: ({ port }, done) => {
      asked.add(port);
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        done({ passed: true, detail: "" });
      }, 5);
      return () => {};
    },
  });
  for (let port = 1; port <= 200; port++) checker.add("127.0.0.1", port, tcp);
  await until("all were asked", () => asked.size === 200);
  assert.equal(most, 5);
  checker[Symbol.dispose]();
  await until("none is under way", () => now === 0);
});

Deno.test("Checker says nothing of real servers while this host is short of sockets", async () => {
  let calls = 0;
  using checker = new Checker({
    onChange: () => assert.fail("no state has changed"),
    probe: (_target, done) => {
      calls++;
      queueMicrotask(() => done({ passed: undefined, detail: "too many open files" }));
      return () => {};
    },
  });
  const key = checker.add("127.0.0.1", 1, { ...tcp, fall: 1 });
  await until("it was asked thrice", () => calls >= 3);
  assert.deepEqual(checker.health(key), {
    up: true,
    contrary: 0,
    known: false,
    detail: "too many open files",
  });
});

Deno.test("Checker keeps a pace with rows that have none, and asks the others all the same", async () => {
  const asked = new Map<number, number>();
  using checker = new Checker({
    onChange: () => {},
    probe: ({ port }, done) => {
      asked.set(port, (asked.get(port) ?? 0) + 1);
      queueMicrotask(() => done({ passed: true, detail: "" }));
      return () => {};
    },
  });
  const intervals = [0, -1, NaN, 1e300, Infinity];
  intervals.forEach((interval, at) => checker.add("127.0.0.1", at + 1, { ...tcp, interval }));
  checker.add("127.0.0.1", 9, tcp);
  await until("the one with a pace was asked five times", () => (asked.get(9) ?? 0) >= 5);
  for (const [port, times] of asked) assert.ok(times <= 12, `${port} was asked ${times} times`);
});

Deno.test("Checker leaves nothing behind", async () => {
  const checker = new Checker({ onChange: () => {} });
  // Accepts nothing: connections are made by the kernel, answers never come.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (let n = 0; n < 20; n++) {
    checker.add("127.0.0.1", listener.addr.port, {
      type: "http",
      path: `/${n}`,
      ...pace,
      timeout: 10_000,
    });
  }
  await until("some are under way", () => checker.inFlight > 0);
  checker[Symbol.dispose]();
  await until("none is", () => checker.inFlight === 0);
});

Deno.test("checkKey() is another for each check, and for old ones what it was before there were others", () => {
  assert.equal(checkKey("10.0.0.1", 80, tcp), "10.0.0.1 80 tcp 100 100 2 2");
  const http = { type: "http", path: "/a,port=1", ...pace } as const;
  assert.equal(checkKey("10.0.0.1", 80, http), "10.0.0.1 80 http:/a,port=1 100 100 2 2");
  const keys = [
    http,
    { ...http, path: "/a", port: 1 },
    { ...http, path: "/a" },
    { ...http, type: "https" },
    { ...http, path: "/a", host: "b" },
    { ...http, path: "/a", body: "b host=c" },
    { ...http, path: "/a", host: "c", body: "b" },
    { ...tcp, tls: true },
    { ...tcp, tls: true, verify: false },
    { ...tcp, expect: "a 100 100 2 2" },
    { ...tcp, expect: "a" },
    { ...pace, type: "udp" },
    { ...pace, type: "dns", name: "." },
    { ...pace, type: "dns", name: ".", query: "NS" },
  ].map((check) => checkKey("10.0.0.1", 80, check as ActiveCheck));
  assert.equal(new Set(keys).size, keys.length);
});

Deno.test("Checker asks at the port that a check names", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  using checker = new Checker({
    onChange: () => {},
    probe: ({ port }, done) => {
      resolve(port);
      queueMicrotask(() => done({ passed: true, detail: "" }));
      return () => {};
    },
  });
  checker.add("127.0.0.1", 80, { ...tcp, port: 8080 });
  assert.equal(await promise, 8080);
});
