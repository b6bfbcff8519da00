// The agent's server within its bounds, over TCP and its socket.
import assert from "node:assert/strict";
import { agentSocket, askAgent, SilentAgentError } from "../inspect/ask_agent.ts";
import { serveAgent } from "./server.ts";

/** Serves while `run` runs; `port` is one of loopback. */
async function serving(
  run: (at: { folder: string; port: number; stopped: () => boolean }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "knet-server-" });
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr as Deno.NetAddr;
  probe.close();
  let stopped = false;
  const hooks = {
    status: () => {
      throw new Error("there is none");
    },
    metrics: () => Promise.resolve("# none\n"),
    notReady: () => undefined,
    stop: () => void (stopped = true),
  };
  try {
    await using _server = serveAgent(folder, hooks, `127.0.0.1:${port}`);
    await run({ folder, port, stopped: () => stopped });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is answered to bytes over TCP. */
async function say(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text();
}

Deno.test("serveAgent() answers by this host's addresses, and nobody else's name", async () => {
  await serving(async ({ port }) => {
    const get = (host: string, path = "/healthz") =>
      say(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.match(await get(`127.0.0.1:${port}`), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/);
    assert.match(await get("evil.example"), /^HTTP\/1\.1 421 /);
    assert.match(await get("a b"), /^HTTP\/1\.1 421 /);
    assert.match(await get("localhost", "/nothing"), /^HTTP\/1\.1 404 /);
    assert.match(await get("localhost", "/status"), /^HTTP\/1\.1 500 [^]*there is none/);
    assert.match(await say(port, "POST /stop HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 405 /);
    assert.match(await say(port, `GET / HTTP/1.0\r\nX: ${"y".repeat(9000)}`), /^HTTP\/1\.1 431 /);
    assert.doesNotMatch(await say(port, "HEAD /healthz HTTP/1.0\r\n\r\n"), /ok\n/);
  });
});

Deno.test("serveAgent() goes on under connections that say nothing, and ends with them", async () => {
  const idle: Deno.Conn[] = [];
  await serving(async ({ folder, port }) => {
    for (let n = 0; n < 100; n++) {
      idle.push(await Deno.connect({ port, hostname: "127.0.0.1" }));
    }
    // The socket has places of its own, and over TCP whoever asks something has one of those that do not.
    assert.equal(await askAgent(folder, "/healthz"), "ok\n");
    for (let n = 0; n < 3; n++) {
      assert.match(await say(port, "GET /healthz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 OK\r\n/);
    }
    for (let n = 0; n < 100; n++) {
      const connection = await Deno.connect({ transport: "unix", path: agentSocket(folder) });
      await connection.write(new TextEncoder().encode("GET /hea"));
      idle.push(connection);
    }
    assert.equal(await askAgent(folder, "/healthz"), "ok\n", "half a request is none");
  });
  for (const connection of idle) connection.close();
});

Deno.test("askAgent() tells no agent, one that is silent, and what one says", async () => {
  await serving(async ({ folder, stopped }) => {
    assert.equal(await askAgent(folder, "/metrics"), "# none\n");
    assert.equal(await askAgent(folder, "/services"), undefined);
    assert.equal(await askAgent(folder, "/stop", "POST"), "stopping\n");
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(stopped());
  });
  const folder = await Deno.makeTempDir({ prefix: "knet-server-" });
  try {
    assert.equal(await askAgent(folder, "/healthz"), undefined);
    using silent = Deno.listen({ transport: "unix", path: `${folder}/knet.sock` });
    const asking = askAgent(folder, "/healthz");
    (await silent.accept()).close();
    await assert.rejects(asking, SilentAgentError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
