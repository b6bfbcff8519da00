import assert from "node:assert/strict";
import type { StoreRecovery } from "../core/agent/recover_store.ts";
import { recoveryDocument, recoveryText } from "./store_recover.ts";

const MADE: StoreRecovery = {
  ...{ store: "dqlite:/var/lib/knet/dqlite", nodeId: "n3", role: "standby", state: "planned" },
  log: { term: 4, index: 1093 },
  before: "/var/lib/knet/dqlite/before",
  dropped: [{ nodeId: "n1", role: "voter", why: "no answer" }, { nodeId: "n2", role: "voter" }],
  kept: [{ nodeId: "n4", role: "standby" }],
  away: [{ nodeId: "n5", role: "spare", why: "no answer" }],
  nameOf: (nodeId) => nodeId.replace("n", "host-"),
};

Deno.test("recoveryText() says how new the copy is, who is dropped, and what comes next", () => {
  const text = recoveryText(MADE);
  assert.match(text, /copy of +host-3 \(stands by\)/);
  assert.match(text, /term 4, index 1093/);
  assert.match(text, /dropped +host-1 \(votes\), host-2 \(votes\)/);
  assert.match(text, /get a new copy +host-4 \(stands by\)/);
  assert.match(text, /come back by themselves +host-5 \(no copy\)/);
  assert.match(text, /Nothing was done\..*--force/);
  assert.match(recoveryText({ ...MADE, state: "done" }), /dqlite\/before.*systemctl start knet/);
  assert.match(recoveryText({ ...MADE, state: "begun" }), /goes on with it/);
  const refusal = { state: "host-1 leads it", remedy: "Start the agent here" };
  const refused = recoveryText({ ...MADE, refusal });
  assert.match(refused, /refused +host-1 leads it[^]*Nothing was done\. Start the agent here/);
});

Deno.test("recoveryDocument() has the same for programs", () => {
  const { log: _, ...empty } = MADE;
  assert.deepEqual(recoveryDocument({ ...empty, role: undefined }), {
    ...{ store: MADE.store, state: "planned", role: null, log: null, before: MADE.before },
    dropped: [
      { node: "n1", name: "host-1", role: "voter" },
      { node: "n2", name: "host-2", role: "voter" },
    ],
    kept: [{ node: "n4", name: "host-4", role: "standby" }],
    away: [{ node: "n5", name: "host-5", role: "spare" }],
    refused: null,
  });
});
