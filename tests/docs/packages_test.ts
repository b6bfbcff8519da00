/**
 * The lines that install packages: where those of all architectures lie in one folder, each names the one of its host alone.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ARCHITECTURES, ownArchitecture } from "../../dist/architectures.ts";
import type { Product } from "../../dist/package/contents.ts";
import { debName } from "../../dist/package/deb.ts";
import { rpmName } from "../../dist/package/rpm.ts";
import { tarballName } from "../../dist/package/tarball.ts";
import { pages, read } from "./pages.ts";

/** Names of what is made for an architecture. */
function namesFor(arch: Product["arch"]): string[] {
  const product: Product = { version: "1.2.3", arch, date: 0, program: [], licences: "", bom: "" };
  return [debName(product), rpmName(product), `${tarballName(product)}.tar.gz`];
}

Deno.test("pages: each pattern of a package matches that of one architecture and kind", () => {
  const all = Object.keys(ARCHITECTURES).flatMap((arch) => namesFor(arch as Product["arch"]));
  const own = namesFor(ownArchitecture());
  const { deno } = ARCHITECTURES[ownArchitecture()];
  let count = 0;
  for (const page of pages()) {
    for (
      const [, , pattern] of read(page).matchAll(
        / (\.\/)?dist\/packages\/(knet[-_]\*.*?\.(?:deb|rpm|tar\.gz))/g,
      )
    ) {
      const glob = pattern!.replace("$(dpkg --print-architecture)", ownArchitecture())
        .replace("$(uname -m)", deno);
      const matches = new RegExp(`^${glob.replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
      const found = all.filter((name) => matches.test(name));
      assert.equal(found.length, 1, `${page}: ${pattern} matches ${found.join(", ") || "none"}`);
      if (glob !== pattern) assert.ok(own.includes(found[0]!), `${page}: ${pattern}: ${found}`);
      count++;
    }
  }
  assert.ok(count >= 5, `${count} patterns`);
});
