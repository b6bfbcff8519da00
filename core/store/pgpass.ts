/**
 * Passwords from the file that PGPASSFILE names, as libpq has them (PostgreSQL's manual, "The Password File").
 *
 * @module
 */
import { KnetError } from "../base/error.ts";

/** Whom a password is for. */
export interface PasswordFor {
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly user: string;
}

/** Splits a line at its colons; a backslash takes the next character as it is. */
function fields(line: string): string[] {
  const found = [""];
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!;
    if (char === ":" && found.length < 5) found.push("");
    else found[found.length - 1] += char === "\\" ? line[++at] ?? "" : char;
  }
  return found;
}

/** The password in a file's text: the first line that fits, `*` fitting everything. */
export function findPassword(text: string, target: PasswordFor): string | undefined {
  const wanted = [target.host, target.port, target.database, target.user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#") || line === "") continue;
    const found = fields(line);
    if (found.length < 5) continue;
    if (wanted.every((word, at) => found[at] === "*" || found[at] === word)) return found[4];
  }
  return undefined;
}

/**
 * The password for a server by PGPASSFILE; undefined if the variable is not set or no line fits.
 *
 * @throws {KnetError} if the file cannot be read, or others can read it (libpq takes no such file either).
 */
export function passwordOfFile(target: PasswordFor): string | undefined {
  const path = Deno.env.get("PGPASSFILE");
  if (!path) return undefined;
  let text: string;
  let mode: number;
  try {
    mode = Deno.statSync(path).mode ?? 0;
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new KnetError(
      `Cannot read the password file "${path}": it is not there or not readable`,
      {
        remedy: "Correct PGPASSFILE, or unset it",
        cause: error,
      },
    );
  }
  if ((mode & 0o077) !== 0) {
    throw new KnetError(`Cannot use the password file "${path}": others have access to it`, {
      remedy: `chmod 0600 "${path}"`,
    });
  }
  return findPassword(text, target);
}
