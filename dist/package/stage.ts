/**
 * Lays the files of a package out in a folder, as a packager takes them.
 *
 * @module
 */
import { dirname } from "node:path";
import { setDates } from "../source_date.ts";
import type { PackageFile } from "./contents.ts";

/** Writes the files below a folder, all with one date, folders with mode 0755 whatever the umask says. */
export function stage(folder: string, files: readonly PackageFile[], date: number): void {
  Deno.mkdirSync(folder, { recursive: true });
  Deno.chmodSync(folder, 0o755);
  for (const { path, mode, content } of files) {
    const target = folder + path;
    makeFolders(folder, dirname(path));
    if (typeof content === "string") Deno.writeTextFileSync(target, content);
    else if (content instanceof Uint8Array) Deno.writeFileSync(target, content);
    else Deno.copyFileSync(content.copyOf, target);
    Deno.chmodSync(target, mode);
  }
  setDates(folder, date);
}

function makeFolders(root: string, path: string): void {
  if (path === "/") return;
  makeFolders(root, dirname(path));
  Deno.mkdirSync(root + path, { recursive: true });
  Deno.chmodSync(root + path, 0o755);
}

/**
 * Runs a packager.
 *
 * @throws {Error} with what it said if it fails, or with the package that brings it if it is missing.
 */
export function runPackager(
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env = {}, from }: { cwd: string; env?: Record<string, string>; from: string },
): void {
  const said = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  try {
    const { success, stdout, stderr } = new Deno.Command(program, {
      args,
      cwd,
      env: { LC_ALL: "C", TZ: "UTC", ...env },
      stdin: "null",
    }).outputSync();
    if (success) return;
    throw new Error(`Cannot run ${program}: ${said(stderr) || said(stdout) || "it failed"}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(
      `Cannot run ${program}: it is not installed. It comes with the package "${from}"`,
    );
  }
}
