/**
 * A root file system that holds the compiled binary, the C library and what else `ldd` names, and
 * nothing more: no libnl, no Deno, no shell.
 *
 * @module
 */
import { exec } from "./exec.ts";

/** Makes the directory tree for `chroot`; `libraries` are copied with what they need. */
export async function makeBareRoot(
  directory: string,
  binary: string,
  libraries: readonly string[],
): Promise<void> {
  for (const folder of ["usr/bin", "etc", "run", "proc", "sys", "dev", "tmp", "var/lib"]) {
    await Deno.mkdir(`${directory}/${folder}`, { recursive: true });
  }
  await Deno.copyFile(binary, `${directory}/usr/bin/knet`);
  const needed = new Set<string>();
  for (const file of [binary, ...libraries]) {
    const { stdout } = await exec(["ldd", file]);
    for (const [path] of stdout.matchAll(/\/\S+(?= \()/g)) needed.add(path);
  }
  for (const path of [...needed, ...libraries]) {
    if (/libnl-/.test(path)) throw new Error(`${path} would come along`);
    const target = `${directory}${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(path, target);
  }
  await Deno.writeTextFile(`${directory}/etc/machine-id`, "");
}

/** Path of a shared library on this machine, undefined if it is not there. */
export async function libraryPath(soname: string): Promise<string | undefined> {
  const { stdout } = await exec("ldconfig -p", { check: false });
  return stdout.split("\n").find((line) => line.trim().startsWith(`${soname} `))?.split("=> ")[1];
}
