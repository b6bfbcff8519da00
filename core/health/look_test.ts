import assert from "node:assert/strict";
import {
  type Answer,
  bytes,
  failed,
  look,
  plain,
  says,
} from "../../tests/support/checked_servers.ts";
import { PASSED } from "./probe.ts";

Deno.test("lookOf() asks by HTTP for the host, and judges status and body as they are wanted", async () => {
  let request = "";
  await using server = plain(async (connection, text) => {
    request = text;
    const path = /^GET \/(\S*)/.exec(text)?.[1] ?? "";
    const [status, body = ""] = decodeURIComponent(path).split("|");
    await connection.write(bytes(`HTTP/1.1 ${status} X\r\nServer: ok\r\n\r\n${body}`));
  });
  const { port } = server;
  assert.deepEqual(await look("http:/200 host=web.example:8080", port), PASSED);
  assert.match(request, /^Host: web\.example:8080\r$/m);
  assert.deepEqual(await look("http:/200", port), PASSED);
  assert.match(request, new RegExp(`^Host: 127\\.0\\.0\\.1:${port}\\r$`, "m"));
  assert.deepEqual(await look("http:/401 status=200-299,401", port), PASSED);
  assert.deepEqual(await look("http:/302 status=200-299,401", port), failed("status 302"));
  assert.deepEqual(await look("http:/200%7Call%20is%20ok body=ok", port), PASSED);
  assert.deepEqual(await look("http:/503%7Cok body=ok", port), failed("status 503"));
  // "Server: ok" is no body.
  const lacks = failed("the body lacks what is expected");
  assert.deepEqual(await look("http:/200%7Cko body=ok", port), lacks);
});

Deno.test("lookOf() reads a body as it is framed, and no further than it has to", async () => {
  const head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n";
  let pieces: string[] = [];
  let hold = false;
  const held = Promise.withResolvers<void>();
  await using server = plain(async (connection) => {
    for (const piece of pieces) await connection.write(bytes(piece));
    if (hold) await held.promise;
  });
  const ask = (...answer: string[]) => {
    pieces = answer;
    return look('http:/ body="all is well"', server.port);
  };
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
  const lacks = failed("the body lacks what is expected");
  // Each chunk's size is in the middle of the text.
  assert.deepEqual(await ask(`${chunked}4\r\nall \r\n`, "7;x=y\r\nis well\r\n0\r\n\r\n"), PASSED);
  // Whoever holds the connection open, though it was to be closed, has said enough.
  hold = true;
  assert.deepEqual(await ask(`${chunked}3\r\nall\r\n0\r\n\r\n`), lacks);
  assert.deepEqual(await ask(`${head}Content-Length: 4\r\n\r\nall `, "is well"), lacks);
  assert.deepEqual(await ask(`${head}Content-Length: 0\r\n\r\n`), lacks);
  assert.deepEqual(await ask(`${head}\r\n`, "all is", " well"), PASSED);
  held.resolve();
});

Deno.test("lookOf() ends with garbage, endless and slow answers", async () => {
  const filler = "x".repeat(60_000);
  const stop = new AbortController();
  let answer: Answer = says("");
  await using server = plain((connection, request) => answer(connection, request));
  const { port } = server;
  const endless = (head: string): Answer => async (connection) => {
    await connection.write(bytes(head));
    while (!stop.signal.aborted) await connection.write(bytes(filler));
  };
  answer = endless("HTTP/1.1 200 OK\r\n\r\n");
  assert.deepEqual(
    await look("http:/ body=ok", port),
    failed("the answer's first 65536 bytes lack what is expected"),
  );
  answer = endless("HTTP/1.1 200 OK\r\nA: ");
  assert.deepEqual(
    await look("http:/ body=ok", port),
    failed("the answer's head is longer than 16384 bytes"),
  );
  answer = endless("");
  assert.deepEqual(await look("http:/ body=ok", port), failed("the answer is not HTTP"));
  assert.deepEqual(
    await look("tcp send=a expect=ok", port).then(({ detail }) => detail),
    "the answer's first 65536 bytes lack what is expected",
  );
  // One byte a piece: each is looked at once.
  answer = async (connection) => {
    for (const one of "HTTP/1.1 200 OK\r\n\r\n".split("")) await connection.write(bytes(one));
    for (let n = 0; n < 3000; n++) await connection.write(bytes("o"));
    await connection.write(bytes("k"));
  };
  assert.deepEqual(await look("http:/ body=ok", port), PASSED);
  answer = () =>
    new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  const late = failed("no answer in time");
  for (
    const text of [
      "http:/ body=a",
      "tcp send=a expect=b",
      "https:/",
      "tcp tls",
      "https:/ verify=no",
      "tcp tls verify=no",
    ]
  ) {
    assert.deepEqual(await look(text, port, 30), late, text);
  }
  stop.abort();
  answer = says("SSH-2.0-x\r\n");
  for (const text of ["https:/", "tcp tls", "https:/ verify=no", "tcp tls verify=no"]) {
    const { passed, detail } = await look(text, port);
    assert.deepEqual(
      [
        passed,
        /corrupt message|InvalidContentType|wrong version number|packet length/i.test(detail),
      ],
      [false, true],
      `${text}: ${detail}`,
    );
  }
});

Deno.test("lookOf() says something by TCP and waits for something", async () => {
  let answer: Answer = says("+PONG\r\n");
  let request = "";
  await using server = plain((connection, text) => {
    request = text;
    return answer(connection, text);
  });
  const { port } = server;
  assert.deepEqual(await look("tcp send=PING\\r\\n expect=+PONG", port), PASSED);
  assert.equal(request, "PING\r\n");
  answer = says("-NOAUTH\r\n");
  assert.deepEqual(
    await look("tcp send=PING expect=+PONG", port),
    failed("the answer lacks what is expected"),
  );
  answer = says("");
  assert.deepEqual(await look("tcp send=PING expect=+PONG", port), failed("no answer"));
  // Bytes that are no characters.
  answer = (connection) => connection.write(new Uint8Array([0, 0x80, 0xff]));
  assert.deepEqual(await look("tcp send=x expect=\\x80\\xff", port), PASSED);
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  const { port: nobody } = closed.addr as Deno.NetAddr;
  for (const text of ["tcp tls", "http:/ body=a", "https:/", "https:/ verify=no", "tcp expect=a"]) {
    assert.deepEqual(await look(text, nobody), failed("connection refused"), text);
  }
});
