/**
 * Makes a tarball with `install.sh`, for distributions that have neither kind of package.
 *
 * @module
 */
import { contentsOf, type Product } from "./contents.ts";
import { runPackager, stage } from "./stage.ts";

const SCRIPT = new URL("./install.sh", import.meta.url).pathname;

/** The name of the folder in it; that of the file is the same and ".tar.gz". */
export function tarballName({ version, arch }: Product): string {
  return `knet-${version}-linux-${arch}`;
}

/**
 * Makes the tarball in a folder.
 *
 * @param work an empty folder, for what comes in between.
 * @returns its path.
 * @throws {Error} if tar is missing or refuses.
 */
export async function makeTarball(product: Product, output: string, work: string): Promise<string> {
  const files = await contentsOf("tar", product);
  const name = tarballName(product);
  const list = files.map(({ path, mode, config }) =>
    `${mode.toString(8).padStart(4, "0")} ${config ? "config" : "file"} ${path}\n`
  );
  stage(`${work}/${name}`, [
    ...files.map((file) => ({ ...file, path: `/root${file.path}`, mode: file.mode })),
    { path: "/files", mode: 0o644, content: list.join("") },
    { path: "/install.sh", mode: 0o755, content: Deno.readTextFileSync(SCRIPT) },
  ], product.date);
  const path = `${output}/${name}.tar.gz`;
  runPackager([
    "tar",
    "--create",
    "--file",
    path,
    "--use-compress-program=gzip -n",
    "--sort=name",
    "--format=gnu",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    name,
  ], { cwd: work, from: "tar" });
  return path;
}
