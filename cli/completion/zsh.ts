/**
 * Completion for zsh.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { commonOptions, groups, shellOptions, wordsAfter } from "./model.ts";
import type { CommandTree } from "./model.ts";
import { isStored } from "./candidates.ts";
import type { ShellOption } from "./model.ts";

/** Within single quotes; brackets and colons mean something to `_arguments` and `_describe`. */
function quote(text: string): string {
  return text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
}

function argument(option: ShellOption): string {
  const head = `'${option.name}${option.takesValue ? "=" : ""}[${quote(option.help)}]`;
  if (!option.takesValue) return `${head}'`;
  const action = option.choices.length > 0
    ? `(${option.choices.join(" ")})`
    : option.complete === "file"
    ? "_files"
    : option.complete === "directory"
    ? "_files -/"
    : option.complete === "interface"
    ? "_files -W /sys/class/net"
    : isStored(option.complete)
    ? " _knet_ask"
    : "";
  return `${head}:${quote(option.metavar)}:${action}'`;
}

function wordArgument(command: Command): string[] {
  return command.words.map(({ name, complete, choices }, at) => {
    const action = complete === "netns"
      ? "_files -W /run/netns"
      : isStored(complete)
      ? " _knet_ask"
      : choices === undefined
      ? ""
      : `(${choices.join(" ")})`;
    return `'${at + 1}:${quote(name)}:${action}'`;
  });
}

const functionName = (name: string) => `_knet_${name.replaceAll(" ", "_")}`.replace(/_$/, "");

/** The script. */
export function zshCompletion(tree: CommandTree): string {
  const { commands } = tree;
  const common = commonOptions().map(argument);
  const ofGroups = groups(commands).map((group) => {
    const words = wordsAfter(group, tree);
    const calls = words.map(([word]) => {
      const name = group === "" ? word : `${group} ${word}`;
      return `    ${word}) ${functionName(name)} ;;`;
    });
    return `${functionName(group)}() {
  local curcontext=$curcontext state line
  local -a words_here=(
${words.map(([word, summary]) => `    '${word}:${quote(summary)}'`).join("\n")}
  )
  _arguments -C \\
    ${common.join(" \\\n    ")} \\
    '1: :->word' '*:: :->rest'
  case $state in
  word) _describe command words_here ;;
  rest)
    case $line[1] in
${calls.join("\n")}
    esac ;;
  esac
}`;
  });
  const ofCommands = commands.map((command) =>
    `${functionName(command.name)}() {
  _arguments \\
    ${
      [...shellOptions(command.options).map(argument), ...common, ...wordArgument(command)].join(
        " \\\n    ",
      )
    }
}`
  );
  return `#compdef knet
# zsh completion for knet, made by "knet completion zsh"
_knet_ask() { # the names that knet knows for this place
  local -a typed=("\${(@Q)\${(z)LBUFFER}}") found
  [[ $LBUFFER == *[[:space:]] ]] || typed[-1]=()
  found=("\${(@f)$(knet __complete "\${(@)typed[2,-1]}" 2>/dev/null)}")
  compadd -- "\${(@)found:#}"
}
${[...ofCommands, ...ofGroups.reverse()].join("\n")}
if [[ $funcstack[1] == _knet ]]; then _knet "$@"; else compdef _knet knet; fi
`;
}
