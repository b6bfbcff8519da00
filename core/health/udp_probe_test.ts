import assert from "node:assert/strict";
import {
  bytes,
  type Datagrams,
  datagrams,
  failed,
  look,
} from "../../tests/support/checked_servers.ts";
import { PASSED } from "./probe.ts";

/** A port where nobody is. */
async function refused(): Promise<{ port: number }> {
  await using closed = await datagrams(() => []);
  return { port: closed.port };
}

Deno.test("udpProbe() fails where the port is refused, and by silence only where something is expected", async () => {
  let answers: readonly string[] = [];
  let request: Uint8Array | undefined;
  await using server = await datagrams((bytesIn) => {
    request = bytesIn.slice();
    return answers.map(bytes);
  });
  const { port } = server;
  assert.deepEqual(await look("udp", port, 30), PASSED);
  assert.deepEqual(await look("udp send=a", port, 30), PASSED);
  assert.deepEqual(await look("udp send=a expect=b", port, 30), failed("no answer in time"));
  answers = ["SIP/2.0 200 OK"];
  assert.deepEqual(await look("udp send=\\x00\\xff expect=SIP/2.0", port), PASSED);
  assert.deepEqual(request, new Uint8Array([0, 0xff]));
  assert.deepEqual(await look("udp", port), PASSED);
  assert.equal(request?.length, 0);
  assert.deepEqual(
    await look("udp send=a expect=other", port),
    failed("the answer is not what is expected"),
  );
  const { port: nobody } = await refused();
  for (const text of ["udp", "udp send=a", "udp send=a expect=b", "dns:a.example"]) {
    assert.deepEqual(await look(text, nobody), failed("connection refused"), text);
  }
});

Deno.test("udpProbe() takes silence for nothing where the port was refused a moment ago: refusals are rationed", async () => {
  const { port } = await refused();
  assert.deepEqual(await look("udp", port), failed("connection refused"));
  const silent = { passed: undefined, detail: "connection refused" };
  await using server = await datagrams((request) => request.length > 0 ? [request] : [], port);
  assert.deepEqual(await look("udp", port, 30), silent);
  assert.deepEqual(await look("udp", server.port, 30), silent);
  // Who answers is there.
  assert.deepEqual(await look("udp send=a", port), PASSED);
  assert.deepEqual(await look("udp", port, 30), PASSED);
});

Deno.test("dnsProbe() takes an answer without an error for good, if it answers the question", async () => {
  let answer: Datagrams = () => [];
  await using server = await datagrams((request) => answer(request));
  const { port } = server;
  const flagged = (request: Uint8Array, code: number, change?: (bytes: Uint8Array) => void) => {
    const reply = request.slice();
    reply[2]! |= 0x80;
    reply[3] = code;
    change?.(reply);
    return reply;
  };
  const ask = (how: Datagrams, wait?: number) => {
    answer = how;
    return look("dns:web.example query=AAAA", port, wait);
  };
  assert.deepEqual(await ask((request) => [flagged(request, 0)]), PASSED);
  for (
    const [code, name] of [[2, "SERVFAIL"], [3, "NXDOMAIN"], [5, "REFUSED"], [
      9,
      "RCODE 9",
    ]] as const
  ) {
    assert.deepEqual(await ask((request) => [flagged(request, code)]), failed(name));
  }
  // "web" in other letters is the same name.
  assert.deepEqual(
    await ask((request) => [flagged(request, 0, (reply) => reply[13]! ^= 0x20)]),
    PASSED,
  );
  const others: readonly ((bytes: Uint8Array) => void)[] = [
    (reply) => reply[0]! ^= 1, // another id
    (reply) => reply[2]! &= 0x7f, // a query
    (reply) => reply[13] = 0x78, // "xeb.example"
    (reply) => reply[reply.length - 3] = 1, // A
    (reply) => reply[5] = 0, // no question
    (reply) => reply[5] = 2,
  ];
  for (const [index, change] of others.entries()) {
    const late = await ask((request) => [flagged(request, 0, change)], 30);
    assert.deepEqual(late, failed("no answer in time"), `${index}`);
    // What is none of ours does not hide what is.
    assert.deepEqual(
      await ask((request) => [flagged(request, 0, change), flagged(request, 0)]),
      PASSED,
    );
  }
  assert.deepEqual(
    await ask((request) => [flagged(request, 0).subarray(0, 11)], 30),
    failed("no answer in time"),
  );
  assert.deepEqual(
    await ask((request) => [flagged(request, 0).subarray(0, 20)], 30),
    failed("no answer in time"),
  );
  // An error without the question comes from whom could not read it.
  assert.deepEqual(
    await ask((request) => [flagged(request, 1, (reply) => reply[5] = 0).subarray(0, 12)]),
    failed("FORMERR"),
  );
  const flood = Array.from({ length: 200 }, () => new Uint8Array(20));
  assert.deepEqual(
    await ask(() => flood),
    failed("the answer was not among the first 64 datagrams"),
  );
});
