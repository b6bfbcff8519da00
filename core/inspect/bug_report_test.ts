import assert from "node:assert/strict";
import { bugReport, hideSecrets } from "./bug_report.ts";

Deno.test("hideSecrets() hides values of secret names and passwords in URLs, and leaves the rest", () => {
  const settings = [
    "# Settings",
    "KNET_STORE=postgres://knet:hunter2@db/knet",
    "PGPASSWORD=hunter2",
    "export KNET_JOIN_TOKEN='hunter2 and more'",
    "store: postgres://knet:hunter2@db:5432/knet?sslmode=require",
    "client-key : hunter2",
    "KNET_IFACE=eth1",
    "iface: eth1 # mail admin@example.org",
  ].join("\n");
  const shown = hideSecrets(settings);
  assert.doesNotMatch(shown, /hunter2/);
  for (const kept of ["# Settings", "@db/knet", "KNET_IFACE=eth1", "iface: eth1 # mail admin@"]) {
    assert.ok(shown.includes(kept), `${kept} in\n${shown}`);
  }
});

Deno.test("bugReport() has a text for everything where nothing is to be had, and no password", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-report-" });
  try {
    const configFile = `${folder}/knet.yaml`;
    await Deno.writeTextFile(configFile, "store: postgres://knet:hunter2@db/knet\n");
    const texts = await bugReport({
      storeUrl: () => Promise.reject(new Error("no postgres://knet:hunter2@db/knet here")),
      stateDir: `${folder}/state`,
      dataDir: `${folder}/data`,
      configFile,
    });
    const byName = new Map(texts.map(({ name, text }) => [name, text]));
    assert.match(byName.get("versions.json")!, /"knet": "\d/);
    assert.match(byName.get("status.json")!, /^not to be had: |^\{/);
    assert.equal(byName.get("metrics.txt"), "no agent answers\n");
    assert.equal(byName.get("knet.yaml"), "store: postgres://knet:****@db/knet\n");
    for (const { name, text } of texts) {
      assert.ok(text !== "" || /txt$/.test(name), name);
      assert.doesNotMatch(text, /hunter2/, name);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
