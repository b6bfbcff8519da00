import assert from "node:assert/strict";
import { isOwnName, parseRequest } from "./http_request.ts";

const head = (...lines: string[]) => lines.join("\r\n");

Deno.test("parseRequest() reads method, path and host, and nothing of a query", () => {
  assert.deepEqual(parseRequest(head("GET /metrics?x=1#y HTTP/1.1", "Host: a:9472", "X: y")), {
    ...{ method: "GET", path: "/metrics", host: "a:9472" },
  });
  assert.deepEqual(parseRequest("GET / HTTP/1.0"), { method: "GET", path: "/", host: undefined });
  assert.deepEqual(parseRequest(head("GET http://b/healthz HTTP/1.1", "host:b")), {
    ...{ method: "GET", path: "/healthz", host: "b" },
  });
});

Deno.test("parseRequest() refuses what is read in several ways, or not at all", () => {
  for (
    const text of [
      "",
      "GET",
      "GET / HTTP/1.1", // It has no Host.
      head("GET / HTTP/1.1", "Host: a", "Host: b"),
      head("GET / HTTP/1.1", "Host : a"),
      head("GET / HTTP/1.1", "Host: a", " folded"),
      head("GET * HTTP/1.1", "Host: a"),
      head("GET /a b HTTP/1.1", "Host: a"),
      `GET /${"x".repeat(3000)} HTTP/1.0`,
    ]
  ) assert.deepEqual(parseRequest(text), { refused: 400 }, text.slice(0, 60));
  assert.deepEqual(parseRequest(head("GET / HTTP/2.0", "Host: a")), { refused: 505 });
});

Deno.test("isOwnName() takes addresses and this host's names, and no others", () => {
  const names = ["node-1.example.org"];
  for (
    const host of [
      undefined,
      "10.0.0.1:9472",
      "[::1]:9472",
      "localhost",
      "Node-1",
      "node-1.example.org.:80",
    ]
  ) assert.ok(isOwnName(host, names), host);
  for (const host of ["evil.example", "node", "a b", "", "10.0.0.1.evil.example", "[::1", "x@y"]) {
    assert.ok(!isOwnName(host, names), host);
  }
});

Deno.test("parseRequest() tells a body's length, and refuses two or a strange one", () => {
  const of = (...fields: string[]) =>
    parseRequest(["POST /cni HTTP/1.1", "Host: x", ...fields].join("\r\n"));
  assert.deepEqual(of("Content-Length: 17"), {
    method: "POST",
    path: "/cni",
    host: "x",
    length: 17,
  });
  for (const fields of [["1", "1"], ["-1"], ["+1"], ["0x10"], ["1 2"], ["9999999999"], [""]]) {
    const got = of(...fields.map((value) => `Content-Length: ${value}`));
    assert.deepEqual(got, { refused: 400 }, fields.join());
  }
});
