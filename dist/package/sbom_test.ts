import assert from "node:assert/strict";
import { billOfMaterials } from "./sbom.ts";

const FACTS = {
  version: "0.1.0",
  date: 1_700_000_000,
  licences: "Of the packages below.\n\n\n@a/b 1.2.3, MIT\n===============\n\nText, of Mr X\n\n\n" +
    "pg 8.23.1, see below\n====================\n\nText\n",
  lock: JSON.stringify({
    npm: {
      "@a/b@1.2.3": { integrity: "sha512-AAEC" },
      "pg@8.23.1_other@1.0.0": { integrity: "sha512-/w==" },
      "unused@1.0.0": { integrity: "sha512-AA==" },
    },
  }),
  runtime: { version: "2.4.2", sha256: "ab" },
  libraries: [
    { name: "libnl-3.so.200", sha256: "cd" },
    { name: "libdqlite.so.0", sha256: "ce" },
    { name: "libsqlite3.so.0", sha256: "cf" },
    { name: "libother.so.1", sha256: "d0" },
  ],
};

Deno.test("billOfMaterials() lists runtime, bundled packages and libraries with their hashes", () => {
  const bom = JSON.parse(billOfMaterials(FACTS));
  assert.equal(bom.metadata.timestamp, "2023-11-14T22:13:20.000Z");
  const rows = bom.components.map((
    { name, version, purl, hashes: [hash], licenses: [{ license }] }: {
      name: string;
      version?: string;
      purl?: string;
      hashes: [{ content: string }];
      licenses: [{ license: { id?: string; name?: string } }];
    },
  ) => [name, version, purl, hash.content, license.id ?? license.name]);
  assert.deepEqual(rows, [
    ["deno", "2.4.2", "pkg:github/denoland/deno@v2.4.2", "ab", "MIT"],
    ["@a/b", "1.2.3", "pkg:npm/%40a/b@1.2.3", "000102", "MIT"],
    ["pg", "8.23.1", "pkg:npm/pg@8.23.1", "ff", "see below"],
    ["libnl-3.so.200", undefined, undefined, "cd", "LGPL-2.1-only"],
    ["libdqlite.so.0", undefined, undefined, "ce", "LGPL-3.0-only"],
    ["libsqlite3.so.0", undefined, undefined, "cf", "blessing"],
    ["libother.so.1", undefined, undefined, "d0", "see NOTICE"],
  ]);
});

Deno.test("billOfMaterials() refuses a package that the lock does not know", () => {
  assert.throws(
    () => billOfMaterials({ ...FACTS, lock: '{"npm":{}}' }),
    /Cannot list @a\/b 1.2.3: it is not in the lock/,
  );
});
