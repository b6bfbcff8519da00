/**
 * HTTP both ways: what asks the agent, and what real servers answer its checks.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { serveAgent } from "../../core/agent/server.ts";
import { httpProbe } from "../../core/health/http_probe.ts";
import type { ProbeResult } from "../../core/health/probe.ts";
import { agentSocket } from "../../core/inspect/ask_agent.ts";
import { type FuzzTarget, hurtText } from "./target.ts";

const REQUESTS = [
  "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  "GET /metrics HTTP/1.1\r\nHost: [::1]:9472\r\nAccept: */*\r\nConnection: close\r\n\r\n",
  "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
  "GET http://a/b?c#d HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

const encoder = new TextEncoder();

/** Writes all of it, as far as the other side takes it. */
async function say(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await connection.closeWrite();
  } catch {
    // It hung up: so it may.
  }
}

/** Reads to the end. */
async function hear(connection: Deno.Conn): Promise<string> {
  let text = "";
  const bytes = new Uint8Array(4096);
  const decoder = new TextDecoder();
  try {
    for (let n; (n = await connection.read(bytes)) !== null;) {
      text += decoder.decode(bytes.subarray(0, n), { stream: true });
    }
  } catch {
    // It hung up.
  }
  return text;
}

/** The agent's own server goes on answering, whatever was said to it. */
export const server: FuzzTarget = {
  name: "agent-http",
  about: "requests to the agent",
  runs: 150,
  async open() {
    const folder = await Deno.makeTempDir({ prefix: "knet-fuzz-" });
    const path = agentSocket(folder);
    const serving = serveAgent(folder, {
      status: () => ({}) as never,
      metrics: () => Promise.resolve("# none\n"),
      notReady: () => undefined,
      stop: () => assert.fail("it was told to stop"),
    });
    const property = fc.asyncProperty(hurtText(REQUESTS), async (request) => {
      using connection = await Deno.connect({ transport: "unix", path });
      const [, reply] = await Promise.all([say(connection, request), hear(connection)]);
      assert.doesNotMatch(reply, /^HTTP\/1\.1 500/);
      using good = await Deno.connect({ transport: "unix", path });
      const [, answer] = await Promise.all([say(good, REQUESTS[0]!), hear(good)]);
      assert.match(answer, /^HTTP\/1\.1 200 [^]*ok\n/);
    });
    return {
      property,
      async [Symbol.asyncDispose]() {
        await serving[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      },
    };
  },
};

const ANSWERS = [
  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n\r\n",
  "HTTP/1.0 301 Moved\r\nLocation: /y\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
];

/** A check ends with one result, whatever a real server answers. */
export const probe: FuzzTarget = {
  name: "http-check",
  about: "what real servers answer to an HTTP check",
  runs: 200,
  open() {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    let answer = "";
    const serving = (async () => {
      for await (const connection of listener) {
        await connection.read(new Uint8Array(4096));
        await say(connection, answer);
        connection.close();
      }
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const property = fc.asyncProperty(hurtText(ANSWERS), fc.boolean(), async (text, body) => {
      answer = text;
      const result = await new Promise<ProbeResult>((resolve, reject) => {
        let calls = 0;
        httpProbe(
          { address: "127.0.0.1", port },
          { path: "/", ...(body && { body: "k" }) },
          undefined,
          (one) => {
            if (++calls > 1) reject(new Error("a check ended twice"));
            resolve(one);
          },
        );
      });
      assert.equal(typeof result.passed, "boolean");
      if (result.passed) assert.match(text, /^HTTP\/1\.[01] [123][0-9]{2}/);
    });
    return Promise.resolve({
      property,
      async [Symbol.asyncDispose]() {
        listener.close();
        await serving.catch(() => {});
      },
    });
  },
};
