import assert from "node:assert/strict";
import {
  forgetOwnStore,
  needSystemd,
  setService,
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
