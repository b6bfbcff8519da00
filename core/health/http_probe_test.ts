import assert from "node:assert/strict";
import { finalStatus, httpProbe } from "./http_probe.ts";
import { PASSED, type ProbeResult } from "./probe.ts";

Deno.test("finalStatus() passes over 1xx, and takes 101 for what it is", () => {
  const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n folded\r\n\r\n";
  assert.equal(finalStatus("HTTP/1.1 200 OK\r\n"), 200);
  assert.equal(finalStatus("HTTP/1.0 404"), 404);
  assert.equal(finalStatus("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), 200);
  assert.equal(finalStatus(`HTTP/1.1 100\r\n\r\n${hints}${hints}HTTP/1.1 503 Down\r\n`), 503);
  assert.equal(finalStatus("HTTP/1.1 102 Processing\n\nHTTP/1.1 302 Found\n"), 302);
  assert.equal(finalStatus("HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00"), 101);
});

Deno.test("finalStatus() waits while something is missing, wherever the answer is cut", () => {
  const whole = "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
  const at = whole.indexOf("204") + 3;
  for (let length = 0; length < at; length++) {
    assert.equal(finalStatus(whole.slice(0, length)), "more", `after ${length} bytes`);
  }
  for (let length = at; length <= whole.length; length++) {
    assert.equal(finalStatus(whole.slice(0, length)), 204);
  }
});

Deno.test("finalStatus() knows what is not HTTP, also behind an interim answer", () => {
  const others = [
    "SSH-2.0-OpenSSH_9.2\r\n",
    "S",
    "HTTP/2 200 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 20x O",
    "Hello, world!",
  ];
  for (const text of others) {
    assert.equal(finalStatus(text), "other", text);
    assert.equal(finalStatus(`HTTP/1.1 100 Continue\r\n\r\n${text}`), "other", text);
  }
});

Deno.test("httpProbe() takes the status behind interim answers, and reads no more than 16 KiB for it", async () => {
  const hints = `HTTP/1.1 103 Early Hints\r\nLink: </${"x".repeat(2000)}>\r\n\r\n`;
  const answers = new Map<string, [pieces: readonly string[], result: ProbeResult]>([
    ["/continue", [["HTTP/1.1 100 Con", "tinue\r\n\r\nHTTP/1.1 20", "0 OK\r\n"], PASSED]],
    ["/hints", [[hints, hints, "HTTP/1.1 500 Down\r\n"], {
      passed: false,
      detail: "status 500",
    }]],
    ["/flood", [Array<string>(20).fill(hints), {
      passed: false,
      detail: "the answer has no status in its first 16384 bytes",
    }]],
    ["/cut", [["HTTP/1.1 103 Early"], {
      passed: false,
      detail: "the answer ends before its status",
    }]],
    ["/none", [[], { passed: false, detail: "no answer" }]],
  ]);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      const buffer = new Uint8Array(1024);
      const length = await connection.read(buffer) ?? 0;
      const [, path = ""] = new TextDecoder().decode(buffer.subarray(0, length)).split(" ");
      try {
        for (const piece of answers.get(path)![0]) {
          await connection.write(new TextEncoder().encode(piece));
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      } catch {
        // The probe has seen enough.
      }
      connection.close();
    }
  })();
  for (const [path, [, result]] of answers) {
    const { port } = listener.addr;
    const got = await new Promise((resolve) => {
      httpProbe({ address: "127.0.0.1", port }, { path }, undefined, resolve);
    });
    assert.deepEqual(got, result, path);
  }
  listener.close();
  await serving;
});
