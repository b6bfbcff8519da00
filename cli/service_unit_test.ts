import assert from "node:assert/strict";
import { giveClock } from "../core/base/clock.ts";
import { messageOf } from "../core/base/error.ts";
import {
  forgetOwnStore,
  needSystemd,
  readyService,
  setService,
  type UnitState,
  unitState,
  withVariable,
} from "./service_unit.ts";
import { environmentOf } from "./unit_settings.ts";

Deno.test("withVariable() sets a variable that environmentOf() reads back, whatever is in it", () => {
  const text = "# KNET_STORE=sqlite:/comment.db\nKNET_IFACE=eth1\n KNET_STORE=sqlite:/old.db\n";
  for (
    const value of [
      "dqlite:",
      "postgres://knet:a b@db/knet",
      `sqlite:/mnt/it's/k.db`,
      `sqlite:/mnt/it's "$x" \`y\` a\\b/k.db`,
      'sqlite:/mnt/"x"/k.db',
    ]
  ) {
    const after = environmentOf(withVariable(text, "KNET_STORE", value));
    assert.deepEqual([...after], [["KNET_IFACE", "eth1"], ["KNET_STORE", value]]);
  }
  assert.equal(
    withVariable(text, "KNET_STORE"),
    "# KNET_STORE=sqlite:/comment.db\nKNET_IFACE=eth1\n",
  );
});

Deno.test("forgetOwnStore() takes out the store that the host held, and leaves one that is elsewhere", async () => {
  const path = await Deno.makeTempFile();
  try {
    setService({ KNET_STORE: "dqlite:", KNET_NODE: "one" }, path);
    assert.equal(Deno.readTextFileSync(path), "KNET_STORE=dqlite:\nKNET_NODE=one\n");
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    forgetOwnStore(path);
    assert.equal(Deno.readTextFileSync(path), "KNET_NODE=one\n");
    setService({ KNET_STORE: "postgres://db/knet" }, path);
    forgetOwnStore(path);
    assert.equal(
      environmentOf(Deno.readTextFileSync(path)).get("KNET_STORE"),
      "postgres://db/knet",
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("unitState() reads what systemctl shows, with what the agent said whole", () => {
  assert.deepEqual(
    unitState("ActiveState=activating\nStatusText=a=b: c\nInvocationID=0123\n"),
    { active: "activating", said: "a=b: c", invocation: "0123" },
  );
  assert.deepEqual(unitState(""), { active: "", said: "", invocation: "" });
});

Deno.test("needSystemd() says that it takes root, before it looks at anything of root's", () => {
  assert.throws(() => needSystemd(1000), { message: /only root may/, exitCode: 3 });
});

Deno.test("readyService() tells what the agent waits for, each thing once, and nothing of what is soon over", async () => {
  let now = 0;
  // Whoever waits is woken at once, so much later.
  using _clock = giveClock({
    wall: () => now,
    monotonic: () => now,
    after: (milliseconds, call) => {
      queueMicrotask(() => {
        now += milliseconds;
        call();
      });
      return { cancel: () => {} };
    },
    random: () => 0,
    uuid: () => "",
  });
  const before: UnitState = { active: "inactive", said: "", invocation: "" };
  const run = async (states: readonly (readonly [since: number, UnitState])[]) => {
    const told: string[] = [];
    const begin = now;
    const look = () =>
      Promise.resolve(states.findLast(([since]) => since * 1000 <= now - begin)![1]);
    const wait = { restart: false, patience: 20_000, onWait: (said: string) => told.push(said) };
    const end = await readyService(before, wait, look).then(() => "ready", messageOf);
    return [...told, end];
  };
  const state = (active: string, said: string): UnitState => ({ active, said, invocation: "1" });
  assert.deepEqual(
    await run([[0, state("activating", "Waiting for the store")], [2, state("active", "Ready")]]),
    ["ready"],
  );
  assert.deepEqual(
    await run([
      [0, state("activating", "")],
      [4, state("activating", "Waiting: no answer")],
      [8, state("activating", "Waiting: no way there")],
      [12, state("active", "Ready")],
    ]),
    ["", "Waiting: no answer", "Waiting: no way there", "ready"],
  );
  assert.deepEqual(await run([[0, state("activating", "Waiting")], [5, state("failed", "No")]]), [
    "Waiting",
    "Cannot start the service: the agent ended: No",
  ]);
  assert.deepEqual(await run([[0, state("activating", "Waiting")]]), [
    "Waiting",
    "Cannot start the service: the agent is not ready after 20 s: Waiting",
  ]);
});
