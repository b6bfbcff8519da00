/**
 * Makes packages of the compiled program: `deno task package [KIND…]`, kinds being deb, rpm and tar. They land in
 * dist/packages, and two of one commit are the same, byte for byte.
 *
 * By the distributions' own packagers: they know best what a configuration file is, they are on any machine of theirs, and
 * what they make does not depend on how they were built. (nfpm would make both kinds on any machine, but has to be compiled
 * first, which takes longer than all else here, and brings a Go toolchain along.)
 *
 * @module
 */
import { createHash } from "node:crypto";
import { VERSION } from "../cli/version.ts";
import { runtimeOf } from "./denort.ts";
import type { Product } from "./package/contents.ts";
import { makeDeb } from "./package/deb.ts";
import type { PackageKind } from "./package/places.ts";
import { makeRpm } from "./package/rpm.ts";
import { billOfMaterials } from "./package/sbom.ts";
import { makeTarball } from "./package/tarball.ts";
import { sourceDate } from "./source_date.ts";

const ROOT = new URL("../", import.meta.url).pathname;

const MAKERS = { deb: makeDeb, rpm: makeRpm, tar: makeTarball };

/** Every kind of package. */
export const KINDS = Object.keys(MAKERS) as PackageKind[];

/**
 * Makes packages.
 *
 * @param output a folder, which is made.
 * @returns their paths.
 * @throws {Error} if a packager is missing or refuses.
 */
export async function makePackages(
  product: Product,
  kinds: readonly PackageKind[],
  output: string,
): Promise<string[]> {
  Deno.mkdirSync(output, { recursive: true });
  const work = Deno.makeTempDirSync({ prefix: "knet-package-" });
  try {
    const paths: string[] = [];
    for (const kind of kinds) paths.push(await MAKERS[kind](product, output, work));
    return paths;
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

/**
 * What is in dist/, where `deno task compile` put it.
 *
 * @throws {Error} if it has not.
 */
export function compiledProduct(version = VERSION): Product {
  const program = `${ROOT}dist/knet`;
  let licences: string;
  try {
    Deno.statSync(program);
    licences = Deno.readTextFileSync(`${ROOT}dist/LICENSES`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(
      "Cannot make packages: there is no dist/knet with its licences.\n" +
        "Run: deno task compile",
    );
  }
  const date = sourceDate();
  return {
    version,
    arch: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    date,
    program: [{ path: "bin/knet", mode: 0o755, content: { copyOf: program } }],
    licences,
    bom: billOfMaterials({
      version,
      date,
      licences,
      lock: Deno.readTextFileSync(`${ROOT}deno.lock`),
      runtime: runtimeOf(Deno.build.arch),
      libraries: carriedLibraries(),
    }),
  };
}

function carriedLibraries(): { name: string; sha256: string }[] {
  const folder = `${ROOT}dist/lib`;
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.includes(".so")
  ).sort().map((name) => ({
    name,
    sha256: createHash("sha256").update(Deno.readFileSync(`${folder}/${name}`)).digest("hex"),
  }));
}

if (import.meta.main) {
  const strange = Deno.args.filter((word) => !(KINDS as string[]).includes(word));
  if (strange.length > 0) {
    console.error(`There is no package of kind ${strange.join(", ")}: give ${KINDS.join(", ")}`);
    Deno.exit(2);
  }
  const kinds = Deno.args.length === 0 ? KINDS : Deno.args as PackageKind[];
  try {
    for (const path of await makePackages(compiledProduct(), kinds, `${ROOT}dist/packages`)) {
      console.log(path);
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
