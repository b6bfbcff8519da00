/**
 * The script that container runtimes call as knet's plugin. Pure.
 *
 * It asks the agent itself, by the shell's own means and without starting any program (doorbell.ts); whatever is in the way of that, it
 * becomes the program, which decides. It has to run in dash and busybox's shell.
 *
 * @module
 */
import { CNI_VARIABLES } from "./cni/protocol.ts";
import { DOORBELL, doorbellFolder } from "./doorbell.ts";
import { NETAVARK_COMMANDS } from "./netavark/protocol.ts";

/** Programs that run at a time on a host; the agent answers one after the other anyway. */
const AT_ONCE = 8;
/** Seconds that a program waits for a place at most: one that hangs must not hold up the others for ever. */
const PATIENCE = 60;

/** By whose protocol the script is called. */
export type PluginKind = "cni" | "netavark";

/** The commands that an agent answers, as a pattern of the shell, and the lines of a question as words of it. */
const ASKED: Readonly<Record<PluginKind, { command: string; answered: string; lines: string }>> = {
  cni: {
    command: "${CNI_COMMAND-}",
    answered: "ADD | DEL | CHECK | GC | STATUS",
    lines: CNI_VARIABLES.map((name) => `"\${${name}-}"`).join(" "),
  },
  netavark: {
    command: "${1-}",
    answered: NETAVARK_COMMANDS.join(" | "),
    lines: '"$1" "${2-}"',
  },
};

/** Folder of the state of the agent that a script is for; undefined if it is no such script. Pure. */
export function launcherState(text: string): string | undefined {
  const [, word] = /^place=((?:'[^']*'|\\')+)\/plugin\./m.exec(text) ?? [];
  return word?.replaceAll("'\\''", "\0").replaceAll("'", "").replaceAll("\0", "'");
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

/**
 * The script's text. The program takes 16 MiB before it does anything, and runtimes start containers by the fifty: so each that has to
 * start it takes a place first, which it gives back by ending. Where there is no `flock`, or no folder for it, all run at once.
 *
 * @param mark the second line, by which the script is known.
 * @param words command line of the program; the script's own arguments follow.
 */
export function launcher(
  mark: string,
  words: readonly string[],
  stateDir: string,
  kind: PluginKind,
): string {
  const { command, answered, lines } = ASKED[kind];
  const { bell, agent, wait, ask, end } = DOORBELL;
  // Root's alone: whoever can read a place's file could hold it. A redirection that fails would end the shell with exec.
  return `#!/bin/sh
${mark}
door=${quoted(doorbellFolder(stateDir))}
place=${quoted(stateDir)}/plugin.$(($$ % ${AT_ONCE})).lock
nl='
'
input= taken=

# Becomes the program, once there is a place for it.
start() {
  if command -v flock > /dev/null && (umask 077 && true > "$place") 2> /dev/null; then
    exec 9> "$place"
    flock -w ${PATIENCE} 9 2> /dev/null
  fi
  exec ${words.map(quoted).join(" ")} "$@"
}

# Whether a path means here what it means to the agent.
at_home() {
  IFS=' ' read -r pid fd < "$door/${agent}" && [ "/proc/$pid/fd/$fd" -ef "$door/${bell}" ] || return
  for pid in "$pid" 1; do
    [ "/proc/$pid/ns/mnt" -ef /proc/self/ns/mnt ] && return
  done
  return 1
}

# Asks the agent, and ends with its answer. Comes back if that does not go.
ask() {
  case $* in *"$nl"*) return ;; esac
  taken=yes
  while IFS= read -r line; do input=$input$line$nl; done
  input=$input$line
  set -C
  for slot in "$door"/*${wait}; do
    [ -p "$slot" ] || continue
    slot=\${slot%${wait}}
    { true > "$slot${ask}"; } 2> /dev/null && [ -p "$slot${wait}" ] || continue
    # Both ways first: to open it for reading alone would wait for the agent, who may have gone.
    talk "$@" 2> /dev/null 6<> "$slot${ask}" 8<> "$slot${wait}" 9< "$slot${wait}"
    break
  done
  set +C
}

talk() {
  exec 8>&- # From here on, the pipe ends when the agent does.
  printf '%s\\n' "$@" "$input$nl${end.trim()}" >&6 || return
  printf '%s\\n' "\${slot##*/}" 1<> "$door/${bell}" || return
  IFS= read -r status <&9 || return
  case $status in 0 | 1) ;; *) return ;; esac
  while IFS= read -r line <&6; do printf '%s\\n' "$line"; done
  exit "$status"
}

if [ -p "$door/${bell}" ] && at_home 2> /dev/null && ! [ -t 0 ]; then
  case ${command} in ${answered}) ask ${kind} ${lines} ;; esac
fi
[ -n "$taken" ] || start "$@"
start "$@" << end
$input
end
`;
}
