import assert from "node:assert/strict";
import type { KernelServer } from "./kernel_server.ts";
import {
  achieved,
  EMPTY_RECORD,
  intended,
  parseRecord,
  RecordKeeper,
  UNSEEN,
} from "./owned_servers.ts";

function server(key: string, upper = 0): [string, KernelServer] {
  const dest = { address: "10.244.1.1", port: 80, forward: 0, weight: 1, upper, lower: 0 };
  return [key, {
    ...{ key, family: 4, protocol: 6, address: "10.96.0.1", port: 80, scheduler: "rr" },
    ...{ flags: 0, timeout: 0, netmask: 32, dests: new Map([["10.244.1.1:80", dest]]) },
  }];
}

Deno.test("RecordKeeper remembers within a boot, and nothing of an earlier one", async () => {
  const dataDir = await Deno.makeTempDir();
  try {
    const servers = achieved(new Map(), new Map([server("a", 5)]));
    new RecordKeeper(dataDir, "boot 1").save({ servers, containers: ["1:2"] });
    const again = new RecordKeeper(dataDir, "boot 1");
    assert.deepEqual(again.record.servers, servers);
    assert.deepEqual(again.record.containers, ["1:2"]);
    assert.deepEqual(new RecordKeeper(dataDir, "boot 2").record, EMPTY_RECORD);
    again.clear();
    assert.deepEqual(new RecordKeeper(dataDir, "boot 1").record, EMPTY_RECORD);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

Deno.test("RecordKeeper writes again what could not be written", async () => {
  const dataDir = await Deno.makeTempDir();
  try {
    const record = new RecordKeeper(dataDir, "boot");
    assert.equal(record.isEmpty, true);
    const servers = achieved(new Map(), new Map([server("a")]));
    // A directory in the place of the file: no write can succeed, whoever tries.
    await Deno.mkdir(`${dataDir}/kernel-services.json/full`, { recursive: true });
    assert.throws(() => record.save({ servers }));
    await Deno.remove(`${dataDir}/kernel-services.json`, { recursive: true });
    record.save({ servers });
    assert.deepEqual(new RecordKeeper(dataDir, "boot").record.servers, servers);
    assert.equal(record.isEmpty, false);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

Deno.test("parseRecord() takes what is no record for none", () => {
  const strange = '{"bootId":"b","servers":{"a":[1]},"sysctls":{},"containers":[]}';
  for (const text of ["", "{", "null", '{"bootId":"b"}', '{"bootId":"b","servers":7}', strange]) {
    assert.deepEqual(parseRecord(text, "b"), EMPTY_RECORD, text);
  }
});

Deno.test("intended() keeps what goes, and has what changes unseen dumped after a crash", () => {
  const recorded = achieved(new Map(), new Map([server("gone"), server("same"), server("new")]));
  const wanted = new Map([server("same"), server("new", 9), server("fresh", 3)]);
  const servers = intended(recorded, wanted);
  assert.deepEqual([...servers.keys()].sort(), ["fresh", "gone", "new", "same"]);
  assert.equal(servers.get("same"), recorded.get("same"));
  assert.equal(servers.get("new"), UNSEEN);
  assert.notEqual(servers.get("fresh"), UNSEEN);
});
