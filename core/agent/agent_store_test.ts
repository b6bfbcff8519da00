import assert from "node:assert/strict";
import { readRecordedStore, recordStore, storeAddress } from "../store/recorded_store.ts";
import type { Store } from "../store/store.ts";
import { AgentStore } from "./agent_store.ts";

async function withDirectory(work: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "knet-agent-store-" });
  try {
    await work(dataDir);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

const recordedIn = (dataDir: string) => {
  const record = readRecordedStore(dataDir);
  return record.state === "recorded" ? record.address.url : record.state;
};

/** A store that grants and renews everything, or nothing. */
const store = (grants: boolean) =>
  ({
    acquireLease: () => grants ? Promise.resolve({}) : Promise.reject(new Error("refused")),
    renewLease: () => Promise.resolve({ state: grants ? "renewed" : "lost" }),
  }) as unknown as Store;

const lease = {} as Parameters<Store["acquireLease"]>[0] & Parameters<Store["renewLease"]>[0];

Deno.test("AgentStore keeps no record of a store that it never joined", () =>
  withDirectory(async (dataDir) => {
    {
      using agent = new AgentStore({ dataDir, storeUrl: "sqlite:/new.db" });
      assert.equal(recordedIn(dataDir), "sqlite:/new.db", "while it tries, commands look there");
      await assert.rejects(agent.over(store(false)).acquireLease(lease));
      await agent.over(store(false)).renewLease(lease);
    }
    assert.equal(recordedIn(dataDir), "none");
  }));

Deno.test("AgentStore replaces the record when it has a lease, not before", () =>
  withDirectory(async (dataDir) => {
    for (const call of ["acquireLease", "renewLease"] as const) {
      recordStore(dataDir, storeAddress("sqlite:/old.db"));
      {
        using agent = new AgentStore({ dataDir, storeUrl: "sqlite:/new.db" });
        assert.equal(recordedIn(dataDir), "sqlite:/old.db");
        await agent.over(store(true))[call](lease);
        assert.equal(recordedIn(dataDir), "sqlite:/new.db");
      }
      assert.equal(recordedIn(dataDir), "sqlite:/new.db", "it outlives the agent");
    }
  }));
