/**
 * The date that everything which is built carries in place of the hour of the build, so that two builds of one
 * commit are the same, byte for byte.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * SOURCE_DATE_EPOCH of the environment (https://reproducible-builds.org/specs/source-date-epoch), else the date
 * of the commit; 0 in an export without history.
 *
 * @returns seconds since 1970.
 * @throws {Error} if the variable is no number.
 */
export function sourceDate(
  variable: string | undefined = Deno.env.get("SOURCE_DATE_EPOCH"),
): number {
  if (variable) {
    if (/^\d+$/.test(variable)) return Number(variable);
    throw new Error(`Cannot date the build: SOURCE_DATE_EPOCH is "${variable}", not seconds`);
  }
  try {
    const { success, stdout } = new Deno.Command("git", {
      args: ["-C", ROOT, "log", "-1", "--format=%ct"],
      stdin: "null",
      stderr: "null",
    }).outputSync();
    return success ? Number(new TextDecoder().decode(stdout)) : 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Gives all files and folders below one, and itself, a date, in seconds since 1970. */
export function setDates(path: string, date: number): void {
  const { isSymlink, isDirectory } = Deno.lstatSync(path);
  if (isSymlink) return;
  if (isDirectory) {
    for (const { name } of Deno.readDirSync(path)) setDates(`${path}/${name}`, date);
  }
  Deno.utimeSync(path, date, date);
}
