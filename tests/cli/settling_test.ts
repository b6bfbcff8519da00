// Commands that write, each over a store that settles and over one that is another than this host's agent knows.
import assert from "node:assert/strict";
import { openStoreAdmin } from "../../core/store/open.ts";
import { writeVerdict } from "../../core/store/verdict_file.ts";
import { scratch } from "./run_knet.ts";

/** All that write of leases, services and the cluster's configuration; `store adopt` and `store restore` are the remedy. */
const WRITING = [
  "init --network 10.9.0.0/16 --replace",
  "lease release 10.244.6.0/24",
  "lease reserve 10.244.7.0/24 --public-ip 192.0.2.7",
  "lease prune",
  "leave --node 10.244.6.0/24 --force",
  "svc add db --vip 10.96.0.2 --port 80",
  "svc set web --scheduler wrr",
  "svc to web 10.250.1.3:80",
  "svc drain web 10.250.1.2:80",
  "svc drop web 10.250.1.2:80 --now",
  "svc timeouts --tcp 60",
  "svc rm web",
];

Deno.test("knet writes nothing to a store that is another one, whichever command it is, and waits where one settles", async () => {
  await using at = await scratch();
  const url = at.env.KNET_STORE!;
  await at.knet("init");
  await at.knet("lease reserve 10.244.6.0/24 --public-ip 192.0.2.6");
  await at.knet("svc add web --vip 10.96.0.1 --port 80 --to 10.250.1.2:80");
  await using admin = await openStoreAdmin(url);
  const state = async () => JSON.stringify((await admin.backup()).tables);

  const before = await state();
  const verdict = { location: url, what: "it is another one", since: Date.now() };
  writeVerdict(at.env.KNET_STATE_DIR!, verdict);
  const refused = await Promise.all(WRITING.map((line) => at.knet(line)));
  for (const [n, { code, stderr }] of refused.entries()) {
    assert.equal(code, 4, `${WRITING[n]}: ${stderr}`);
    assert.match(stderr, /is not the one that this host's agent has known/, WRITING[n]);
    assert.match(stderr, /knet store adopt/, WRITING[n]);
  }
  assert.equal(await state(), before);
  writeVerdict(at.env.KNET_STATE_DIR!, undefined);

  await admin.adopt(undefined);
  const adopted = await state();
  const waiting = [WRITING[2]!, WRITING[5]!].map((line) => at.knet(line));
  const ended = Promise.race(waiting).then(() => true);
  let settling = true;
  while (settling) {
    const over = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))]);
    const text = await state();
    settling = text === adopted;
    assert.ok(!settling || over === undefined, "none ends before it has written");
  }
  for (const { code, stderr } of await Promise.all(waiting)) {
    assert.equal(code, 0, stderr);
  }
});
