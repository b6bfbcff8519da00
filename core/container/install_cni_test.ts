import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { conflist, installCni, removeCni } from "./install_cni.ts";

function scratch(): { folder: string; options: Parameters<typeof installCni>[0] } & Disposable {
  const folder = Deno.makeTempDirSync();
  return {
    folder,
    options: {
      binDir: `${folder}/bin`,
      confDir: `${folder}/net.d`,
      network: "knet",
      stateDir: "/run/knet",
      dataDir: `${folder}/data`,
      program: ["/usr/local/bin/knet"],
    },
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("conflist() says only what differs from the defaults, and needs no other plugin", () => {
  const places = { network: "knet", stateDir: "/run/knet", dataDir: "/var/lib/knet" };
  const plain = JSON.parse(conflist(places));
  assert.deepEqual(plain.plugins, [
    {
      type: "knet-cni",
      capabilities: { ips: true, mac: true, aliases: true, portMappings: true, bandwidth: true },
    },
  ]);
  const other = JSON.parse(conflist({ ...places, stateDir: "/run/other" }));
  assert.equal(other.plugins[0].stateDir, "/run/other");
  assert.equal(other.plugins.length, 1);
});

Deno.test("installCni() places both whole, again and again, and removeCni() takes both away", () => {
  using at = scratch();
  const first = installCni(at.options);
  const started = () => /^ {2}exec ('.*)$/m.exec(Deno.readTextFileSync(first.plugin))?.[1];
  assert.equal(started(), `'/usr/local/bin/knet' '__cni' "$@"`);
  assert.equal(Deno.statSync(first.plugin).mode! & 0o777, 0o755);
  installCni({ ...at.options, program: ["/opt/knet"] });
  assert.equal(started(), `'/opt/knet' '__cni' "$@"`);
  assert.deepEqual(names(at.options.binDir), ["knet-cni"]);
  assert.deepEqual(names(at.options.confDir), ["10-knet.conflist"]);
  assert.deepEqual(removeCni(at.options.dataDir), [first.config, first.plugin]);
  assert.deepEqual([...names(at.options.binDir), ...names(at.options.confDir)], []);
  assert.deepEqual(removeCni(at.options.dataDir), []);
});

Deno.test("installCni() to another folder leaves nothing in the one before", () => {
  using at = scratch();
  installCni(at.options);
  installCni({ ...at.options, confDir: `${at.folder}/other`, binDir: `${at.folder}/sbin` });
  assert.deepEqual([...names(at.options.binDir), ...names(at.options.confDir)], []);
});

Deno.test("installCni() overwrites nobody else's file, and tells who comes first", () => {
  using at = scratch();
  Deno.mkdirSync(at.options.confDir);
  Deno.writeTextFileSync(`${at.options.confDir}/05-cilium.conflist`, "{}");
  assert.deepEqual(installCni(at.options).before, ["05-cilium.conflist"]);
  const foreign = `{"name":"mine","plugins":[{"type":"bridge"}]}`;
  Deno.writeTextFileSync(`${at.options.confDir}/10-knet.conflist`, foreign);
  assert.throws(
    () => installCni(at.options),
    (error) => error instanceof KnetError && error.exitCode === 4,
  );
  removeCni(at.options.dataDir);
  assert.equal(Deno.readTextFileSync(`${at.options.confDir}/10-knet.conflist`), foreign);
});

Deno.test("installCni() takes nothing from another knet of the host, and goes with its own state elsewhere", () => {
  using at = scratch();
  using other = scratch();
  const first = installCni(at.options);
  const second = { ...other.options, stateDir: "/run/knet2" };
  const refused = (options: typeof second, pattern: RegExp) =>
    assert.throws(
      () => installCni(options),
      (error) => error instanceof KnetError && error.exitCode === 4 && pattern.test(error.message),
    );
  refused(
    { ...second, confDir: at.options.confDir },
    /conflist": it is of another .* "\/run\/knet"/,
  );
  refused({ ...second, binDir: at.options.binDir }, /knet-cni": it is of another knet/);
  assert.deepEqual(removeCni(other.options.dataDir), [], "what was refused is not its own");
  assert.ok(Deno.readTextFileSync(first.config).includes("knet-cni"));
  installCni(second);
  installCni({ ...at.options, stateDir: "/run/moved" });
  assert.match(Deno.readTextFileSync(first.plugin), /\/run\/moved/);
});
