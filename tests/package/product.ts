/**
 * What the tests pack: a stand-in for the program, small and telling what it was asked, or the compiled one.
 *
 * @module
 */
import { makePackages } from "../../dist/package.ts";
import type { Product } from "../../dist/package/contents.ts";
import type { PackageKind } from "../../dist/package/places.ts";

/** Says its version, and writes down what else it was asked. */
const program = (version: string) =>
  `#!/bin/sh
[ "$*" != --version ] || { echo "knet ${version}"; exit; }
echo "$0 $*" >> /run/program
`;

/** A product whose program is a script. */
export function standIn(version: string): Product {
  return {
    version,
    arch: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    date: 1_700_000_000,
    program: [{ path: "bin/knet", mode: 0o755, content: program(version) }],
    licences: "None.\n",
    bom: "{}\n",
  };
}

/** A folder with packages, which goes with it. */
export class Packages implements Disposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "knet-packages-" });

  /** Makes one, and returns its path. */
  async make(kind: PackageKind, product: Product): Promise<string> {
    const [path] = await makePackages(product, [kind], this.folder);
    return path!;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

/** Whether a program is there. */
export function isInstalled(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
