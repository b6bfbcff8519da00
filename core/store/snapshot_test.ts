import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { sampleConfig, sampleLease } from "../../tests/support/samples.ts";
import { anyServices } from "../../tests/support/services.ts";
import { NO_TIMEOUTS } from "../services/service.ts";
import { readSnapshot, removeSnapshot, type Snapshot, writeSnapshot } from "./snapshot.ts";

const snapshot: Snapshot = {
  version: 1,
  config: sampleConfig(),
  own: sampleLease({ nodeId: "n1" }),
  peers: [sampleLease({ nodeId: "n2", subnet: "10.244.2.0/24" })],
};

Deno.test("readSnapshot() gives back what writeSnapshot() kept", () => {
  const folder = Deno.makeTempDirSync();
  const warned: string[] = [];
  const read = (nodeId = "n1") => readSnapshot(folder, nodeId, (sentence) => warned.push(sentence));
  try {
    assert.equal(read(), undefined);
    writeSnapshot(folder, snapshot);
    assert.deepEqual(read(), snapshot);
    assert.equal(Deno.statSync(join(folder, "snapshot.json")).mode! & 0o777, 0o600);
    assert.deepEqual(warned, []);
    removeSnapshot(folder);
    removeSnapshot(folder);
    assert.equal(read(), undefined);
    assert.deepEqual(warned, []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("readSnapshot() takes what an older knet and a newer one wrote", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const { own } = snapshot;
    const newer = { ...snapshot, more: 1, peers: [{ ...own, backend: "carrier", colour: "red" }] };
    for (const written of [snapshot, { ...newer, services: [], timeouts: NO_TIMEOUTS }]) {
      Deno.writeTextFileSync(join(folder, "snapshot.json"), JSON.stringify(written));
      assert.deepEqual(readSnapshot(folder, "n1", (why) => assert.fail(why)), written);
    }
    const services = fc.sample(anyServices(), 20);
    for (const some of services) {
      writeSnapshot(folder, { ...snapshot, services: some });
      assert.deepEqual(readSnapshot(folder, "n1", (why) => assert.fail(why))?.services, some);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("readSnapshot() warns of what makes no sense and goes on without", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const broken: [string, RegExp][] = [
      ["", /JSON/],
      ["null", /snapshot\.json/],
      ["[]", /version/],
      [JSON.stringify({ ...snapshot, version: 2 }), /unknown version 2/],
      [JSON.stringify({ ...snapshot, own: undefined }), /snapshot\.json/],
      [JSON.stringify({ ...snapshot, own: sampleLease({ nodeId: "n9" }) }), /another node's/],
      [JSON.stringify({ ...snapshot, peers: {} }), /it has no peers/],
      [JSON.stringify({ ...snapshot, config: undefined }), /it has no configuration/],
      [
        JSON.stringify({ ...snapshot, peers: [{ ...snapshot.own, subnet: 7 }] }),
        /peers\.0\.subnet is 7, not string/,
      ],
      [JSON.stringify({ ...snapshot, services: [{}] }), /it has no services\.0\.name/],
      [JSON.stringify({ ...snapshot, timeouts: { tcp: 1 } }), /it has no timeouts\.tcpfin/],
    ];
    for (const [text, pattern] of broken) {
      Deno.writeTextFileSync(join(folder, "snapshot.json"), text);
      const warned: string[] = [];
      assert.equal(readSnapshot(folder, "n1", (sentence) => warned.push(sentence)), undefined);
      assert.equal(warned.length, 1, text);
      assert.match(warned[0]!, pattern);
      assert.match(warned[0]!, /^Cannot use ".*snapshot\.json": /);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("readSnapshot() goes on without one that is no file", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(join(folder, "snapshot.json"));
    const warned: string[] = [];
    assert.equal(readSnapshot(folder, "n1", (sentence) => warned.push(sentence)), undefined);
    assert.equal(warned.length, 1);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
