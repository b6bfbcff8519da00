/**
 * Small files that are replaced whole: a reader sees the old text or the new, never half of one.
 *
 * @module
 */
import { dirname } from "node:path";
import { KnetError, messageOf, withoutTrace } from "./error.ts";

/** Text of a file, undefined if there is none. */
export function readTextIfPresent(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new KnetError(`Cannot read "${path}": ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Tells one state of a file from the next at the cost of a stat: every {@linkcode writeFileAtomically} makes it another. Empty if
 * there is no such file.
 */
export function fileVersion(path: string): string {
  try {
    // Asked every second, of files that most hosts do not have.
    const { ino, size, mtime } = withoutTrace(() => Deno.statSync(path));
    return `${ino} ${size} ${mtime?.getTime()}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw new KnetError(`Cannot read "${path}": ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Replaces a file by renaming a finished one over it, after its bytes have reached the disk. The folder is made if it is missing.
 *
 * @param mode Permission bits of the file.
 * @param folderMode Permission bits of the folder if it has to be made.
 * @throws {KnetError} if the folder or the file cannot be written.
 */
export function writeFileAtomically(
  path: string,
  text: string,
  mode = 0o644,
  folderMode = 0o755,
): void {
  // One writer a process and path: the process id keeps a second process's half-written file apart.
  const half = `${path}.${Deno.pid}.tmp`;
  try {
    Deno.mkdirSync(dirname(path), { recursive: true, mode: folderMode });
    const file = Deno.openSync(half, { write: true, create: true, truncate: true, mode });
    try {
      const bytes = new TextEncoder().encode(text);
      for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
      file.syncDataSync();
    } finally {
      file.close();
    }
    Deno.chmodSync(half, mode); // Whatever the umask, which is a service's, leaves of it.
    Deno.renameSync(half, path);
  } catch (error) {
    removeIfPresent(half);
    throw new KnetError(`Cannot write "${path}": ${messageOf(error)}`, {
      cause: error,
      remedy: "Check that the file system has room and is not mounted read-only",
    });
  }
}

/** Removes a file; one that is not there is no error. */
export function removeIfPresent(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
