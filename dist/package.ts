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
import { parseArgs } from "node:util";
import { VERSION } from "../cli/version.ts";
import { architecture, ownArchitecture, programPath } from "./architectures.ts";
import type { PackageFile, Product } from "./package/contents.ts";
import { makeDeb } from "./package/deb.ts";
import type { PackageKind } from "./package/places.ts";
import { makeRpm } from "./package/rpm.ts";
import { readParts } from "./parts.ts";
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
export function compiledProduct(arch = ownArchitecture(), version = VERSION): Product {
  const program = programPath(arch);
  const date = sourceDate();
  try {
    const parts = readParts(ROOT + program);
    return {
      version,
      arch,
      date,
      program: programFiles(ROOT + program),
      licences: parts.licences,
      bom: billOfMaterials({
        ...parts,
        version,
        date,
        lock: Deno.readTextFileSync(`${ROOT}deno.lock`),
      }),
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const target = arch === ownArchitecture() ? "" : ` --target ${arch}`;
    throw new Error(
      `Cannot make packages: there is no ${program}\nRun: deno task compile${target}`,
    );
  }
}

/** The program is one file, or a folder with what goes below the prefix. */
function programFiles(program: string): PackageFile[] {
  if (Deno.statSync(program).isFile) {
    return [{ path: "bin/knet", mode: 0o755, content: { copyOf: program } }];
  }
  return filesBelow(program).map((path) => ({
    path,
    mode: Deno.statSync(`${program}/${path}`).mode! & 0o777,
    content: { copyOf: `${program}/${path}` },
  }));
}

function filesBelow(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(folder, `${below}${name}/`) : [below + name]
  );
}

if (import.meta.main) {
  const usage = `usage: deno task package [--arch amd64|arm64] [${KINDS.join("|")} …]`;
  try {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { arch: { type: "string" } },
      allowPositionals: true,
    });
    const arch = values.arch === undefined ? ownArchitecture() : architecture(values.arch);
    const strange = positionals.filter((word) => !(KINDS as string[]).includes(word));
    if (strange.length > 0) throw new RangeError(`There is no package of kind ${strange[0]}`);
    const kinds = positionals.length === 0 ? KINDS : positionals as PackageKind[];
    const paths = await makePackages(compiledProduct(arch), kinds, `${ROOT}dist/packages`);
    for (const path of paths) console.log(path);
  } catch (error) {
    const wrong = error instanceof RangeError || error instanceof TypeError;
    console.error(
      (error instanceof Error ? error.message : `${error}`) + (wrong ? `\n${usage}` : ""),
    );
    Deno.exit(wrong ? 2 : 1);
  }
}
