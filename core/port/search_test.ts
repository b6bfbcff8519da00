import assert from "node:assert/strict";
import { giveClock } from "../base/clock.ts";
import { CALL_LENGTH, readCall, writeCall } from "./call.ts";
import { Search } from "./search.ts";

const ALL = 0xffffffff;
const PORT = 8473;
const CLUSTER = new Uint8Array(32).fill(7);
const NONCE = new Uint8Array(8).fill(1);
/** 192.0.2.x */
const at = (n: number) => 0xc0000200 + n;

/** A search on one interface, by a clock that stands still, and what it sent. */
function search() {
  const clock = { now: 1 };
  const given = giveClock({
    wall: () => clock.now,
    monotonic: () => clock.now,
    after: (_, call) => {
      call();
      return { cancel() {} };
    },
    random: () => 0,
    uuid: () => "",
  });
  const sent: { bytes: Uint8Array; to: number; port: number }[] = [];
  const hinted: string[] = [];
  const socket = {
    fd: -1,
    send: (bytes: Uint8Array, to: number, port = 0) => {
      sent.push({ bytes, to, port });
      return 0;
    },
    receive: () => undefined,
    [Symbol.dispose]() {},
  };
  const made = new Search({
    ...{ nodeId: "own", port: PORT, cluster: CLUSTER },
    open: () => socket,
    onHint: (nodeId) => hinted.push(nodeId),
  });
  made.by([{ name: "eth0", ifindex: 2 }], false);
  return {
    ...{ clock, sent, hinted, search: made },
    hear: (
      call: Partial<Parameters<typeof writeCall>[0]>,
      { from = at(1), port = PORT, to = ALL } = {},
    ) => {
      const whole = {
        ...{ kind: "question" as const, port: PORT, cluster: CLUSTER, nonce: NONCE },
        ...{ from: "a", to: "own", ...call },
      };
      made.heard({ from, port, to, bytes: writeCall(whole) }, socket);
    },
    async [Symbol.asyncDispose]() {
      await made[Symbol.asyncDispose]();
      given[Symbol.dispose]();
    },
  };
}

Deno.test("Search answers who asks for this host, as long as the question, to the address that asked, and takes the hint", async () => {
  await using lab = search();
  lab.hear({});
  assert.deepEqual(lab.search.hintsOf("a"), [{ address: "192.0.2.1", port: PORT }]);
  assert.deepEqual(lab.hinted, ["a"]);
  const [{ bytes, to, port }] = lab.sent as [(typeof lab.sent)[number]];
  assert.deepEqual([bytes.length, to, port], [CALL_LENGTH, at(1), PORT]);
  const { kind, from, to: whom, nonce } = readCall(bytes)!;
  assert.deepEqual([kind, from, whom, nonce], ["answer", "own", "a", NONCE]);
  // Who asks for anybody is answered; who asks for another is not, but heard.
  lab.hear({ to: "" });
  lab.hear({ to: "b" }, { from: at(2) });
  assert.equal(lab.sent.length, 2);
  assert.equal(lab.search.hintsOf("a")[0]!.address, "192.0.2.2");
});

Deno.test("Search passes over another cluster, its own voice, other ports, senders that are none, and questions to this host alone", async () => {
  await using lab = search();
  lab.hear({ cluster: new Uint8Array(32).fill(8) });
  lab.hear({ from: "own" });
  lab.hear({}, { port: 53 });
  lab.hear({}, { from: 0 });
  lab.hear({}, { from: ALL });
  lab.hear({}, { from: 0x7f000001 });
  // From afar, by a router: an answer would go to whoever was named as the sender.
  lab.hear({}, { to: at(9) });
  assert.deepEqual([lab.sent.length, lab.hinted.length], [0, 0]);
});

Deno.test("Search takes an answer only to what it asked lately, from whom it asked", async () => {
  await using lab = search();
  assert.ok(lab.search.missed("a"));
  const { nonce, to } = readCall(lab.sent[0]!.bytes)!;
  assert.deepEqual([to, lab.sent[0]!.to], ["a", ALL]);
  const back = { to: at(9) };
  const answer = { kind: "answer" as const, nonce };
  lab.hear({ ...answer, nonce: NONCE }, back);
  lab.hear({ ...answer, from: "b" }, back);
  lab.hear({ ...answer, to: "b" }, back);
  lab.hear(answer, { to: ALL });
  assert.deepEqual(lab.hinted, []);
  lab.hear(answer, back);
  assert.deepEqual(lab.hinted, ["a"]);
  lab.clock.now += 10_000;
  lab.hear(answer, back);
  assert.deepEqual(lab.hinted, ["a"]);
});

Deno.test("Search answers a flood some times a second, however many ask", async () => {
  await using lab = search();
  for (let n = 0; n < 2000; n++) lab.hear({ from: `h${n}` }, { from: at(n) });
  assert.ok(lab.sent.length <= 20, `${lab.sent.length}`);
  lab.clock.now += 1000;
  for (let n = 0; n < 2000; n++) lab.hear({ from: `h${n}` }, { from: at(n) });
  assert.ok(lab.sent.length <= 31, `${lab.sent.length}`);
});

Deno.test("Search asks for one that is not answered the more seldom the longer, and at once where this host has moved", async () => {
  await using lab = search();
  const asked = (seconds: number) => {
    let count = 0;
    for (let n = 0; n < seconds * 10; n++, lab.clock.now += 100) {
      if (lab.search.missed("a")) count++;
    }
    return count;
  };
  const first = asked(5);
  assert.ok(first >= 10 && first <= 13, `${first}`);
  asked(60);
  const later = asked(60);
  assert.ok(later >= 3 && later <= 5, `${later}`);
  assert.ok(lab.search.missed("b"));
  lab.search.by([{ name: "eth0", ifindex: 2 }], true);
  assert.ok(lab.search.missed("a"));
});
