/**
 * The script that container runtimes call as knet's plugin. Pure.
 *
 * @module
 */

/** Plugins that run at a time on a host; the agent answers one after the other anyway. */
const AT_ONCE = 8;
/** Seconds that a plugin waits for a place at most: one that hangs must not hold up the others for ever. */
const PATIENCE = 60;

/**
 * The script's text. The runtime of a plugin takes 16 MiB before it does anything, and runtimes start containers by the fifty: so each
 * takes a place first, which it gives back by ending. Where there is no `flock`, or no folder for it, all run at once.
 *
 * @param mark the second line, by which the script is known.
 * @param words command line of the plugin; the script's own arguments follow.
 */
export function launcher(mark: string, words: readonly string[], stateDir: string): string {
  const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
  // Root's alone: whoever can read the file could hold the place. A redirection that fails would end the shell with exec.
  return `#!/bin/sh
${mark}
place=${quoted(stateDir)}/plugin.$(($$ % ${AT_ONCE})).lock
if command -v flock > /dev/null && (umask 077 && true > "$place") 2> /dev/null; then
  exec 9> "$place"
  flock -w ${PATIENCE} 9 2> /dev/null
fi
exec ${words.map(quoted).join(" ")} "$@"
`;
}
