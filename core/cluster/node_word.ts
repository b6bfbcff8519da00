/**
 * What a node's id and name may be.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";

const PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Whether a text may be a node's id or name. */
export function isNodeWord(word: string): boolean {
  return PATTERN.test(word);
}

/**
 * Checks a node id or node name given by the administrator.
 *
 * @throws {KnetError} exit code 2 if it cannot be one.
 */
export function checkNodeWord(what: "node id" | "node name", word: string): string {
  if (isNodeWord(word)) return word;
  throw new KnetError(`Cannot use "${word}" as ${what}: it is not a plain name`, {
    exitCode: 2,
    remedy:
      "Use 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit",
  });
}
