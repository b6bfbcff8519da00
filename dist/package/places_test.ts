import assert from "node:assert/strict";
import { contentsOf } from "./contents.ts";
import type { PackageKind } from "./places.ts";

const PRODUCT = {
  version: "0.1.0",
  arch: "amd64",
  date: 0,
  program: [{ path: "bin/knet", mode: 0o755, content: "" }],
  licences: "",
  bom: "",
} as const;

for (const kind of ["deb", "rpm", "tar"] as PackageKind[]) {
  Deno.test(`contentsOf() has for ${kind} whatever its unit and files name, and no place of another kind`, async () => {
    const files = await contentsOf(kind, PRODUCT);
    const paths = new Set(files.map(({ path }) => path));
    assert.equal(paths.size, files.length, "a path twice");
    const texts = files.filter(({ path }) => /\.(service|link|network|conf)$/.test(path));
    assert.equal(texts.length, 5);
    for (const { path, content } of texts) {
      assert.ok(typeof content === "string");
      assert.ok(content.split("\n\n")[0]!.includes(`to ${path}`), `${path} says where it goes`);
      for (const [, named] of content.matchAll(/(?:file:\/\/|^ExecStart=)(\/[\w./-]+)/gm)) {
        assert.ok(paths.has(named!), `${path} names ${named}`);
      }
    }
    const foreign = kind === "tar"
      ? /^\/usr\/(?!local)/
      : /^\/(etc\/(?!knet\/|default\/)|usr\/local)/;
    assert.deepEqual([...paths].filter((path) => foreign.test(path)), []);
    assert.deepEqual(
      files.filter(({ config }) => config).map(({ path, mode }) => [path, mode]),
      [["/etc/default/knet", 0o600], ["/etc/knet/knet.yaml", 0o644]],
    );
  });
}

Deno.test("contentsOf() ships settings that set nothing", async () => {
  for (const { path, config, content } of await contentsOf("deb", PRODUCT)) {
    if (config) assert.doesNotMatch(content as string, /^[^#\n]/m, path);
  }
});
