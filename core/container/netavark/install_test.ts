import assert from "node:assert/strict";
import { installPodman, removePodman } from "./install.ts";

function folder(): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function options(path: string) {
  return {
    pluginDir: `${path}/plugins`,
    networkDir: `${path}/networks`,
    network: "knet",
    stateDir: "/run/knet",
    dataDir: `${path}/data`,
    program: ["/opt/it's here/knet"],
  };
}

Deno.test("installPodman() places plugin and network, and removePodman() takes them away", async () => {
  using at = folder();
  const { plugin, network } = await installPodman(options(at.path));
  const text = Deno.readTextFileSync(plugin);
  assert.match(
    text,
    /^#!\/bin\/sh\n# knet's plugin for netavark\n[^]*\n {2}exec '\/opt\/it'\\''s here\/knet' '__netavark' .* "\$@"\n/,
  );
  assert.equal(Deno.statSync(plugin).mode! & 0o777, 0o755);
  const document = JSON.parse(Deno.readTextFileSync(network));
  assert.match(document.id, /^[0-9a-f]{64}$/);
  assert.deepEqual([document.name, document.driver], ["knet", "knet"]);
  const again = await installPodman({ ...options(at.path), network: "other" });
  assert.throws(() => Deno.statSync(network), Deno.errors.NotFound);
  assert.deepEqual(removePodman(`${at.path}/data`), [again.network, plugin]);
  assert.deepEqual(removePodman(`${at.path}/data`), []);
});

Deno.test("installPodman() leaves others' files alone, and so does removePodman()", async () => {
  using at = folder();
  Deno.mkdirSync(`${at.path}/plugins`);
  Deno.writeTextFileSync(`${at.path}/plugins/knet`, "#!/bin/sh\nmine\n");
  await assert.rejects(installPodman(options(at.path)), /not of knet's making/);
  Deno.removeSync(`${at.path}/plugins/knet`);
  const { network } = await installPodman(options(at.path));
  Deno.writeTextFileSync(network, `{"name": "knet", "driver": "bridge"}`);
  await assert.rejects(installPodman(options(at.path)), /knet\.json": it is there and not of/);
  removePodman(`${at.path}/data`);
  assert.ok(Deno.statSync(network).isFile);
});

Deno.test("installPodman() takes nothing from another knet of the host", async () => {
  using at = folder();
  const { plugin } = await installPodman(options(at.path));
  const other = { ...options(at.path), stateDir: "/run/knet2", dataDir: `${at.path}/data2` };
  await assert.rejects(
    installPodman(other),
    /plugins\/knet": it is of another knet .* "\/run\/knet"/,
  );
  assert.deepEqual(removePodman(other.dataDir), []);
  assert.ok(Deno.statSync(plugin).isFile);
});
