/**
 * Files where container runtimes look that another knet of this host has placed: two may live on one host, each with folders of its
 * own, and a file that one took from the other would lead the other's containers to it.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import { readTextIfPresent } from "../base/files.ts";

/** A file that is to be written. */
export interface Place {
  readonly path: string;
  /** Folder of the state of the agent that the file is for; undefined if its text does not say. */
  readonly stateOf: (text: string) => string | undefined;
  /** The option that names another place. */
  readonly option: string;
}

/**
 * Refuses if a file is there that is for another agent.
 *
 * @param own path that this knet has written before: whatever it says, the file is its own.
 * @throws {KnetError} exit code 4.
 */
export function refuseAnothers(
  { path, stateOf, option }: Place,
  stateDir: string,
  own: string | undefined,
): void {
  const text = path === own ? undefined : readTextIfPresent(path);
  const other = text === undefined ? undefined : stateOf(text);
  if (other === undefined || other === stateDir) return;
  throw new KnetError(
    `Cannot write "${path}": it is of another knet of this host, which has its state in "${other}"`,
    {
      exitCode: 4,
      remedy:
        `Choose another place with ${option}, or let the other leave first; if it is no more, remove the file`,
    },
  );
}
