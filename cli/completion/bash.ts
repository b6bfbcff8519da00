/**
 * Completion for bash; needs nothing of the package bash-completion.
 *
 * @module
 */
import { commonOptions, groups, shellOptions, valuedOptions, wordsAfter } from "./model.ts";
import type { CommandTree } from "./model.ts";

/** The script. */
export function bashCompletion(tree: CommandTree): string {
  const { commands } = tree;
  const valued = valuedOptions(commands);
  const values = valued.flatMap(({ name, choices, complete }) => {
    const reply = choices.length > 0
      ? `compgen -W '${choices.join(" ")}' -- "$cur"`
      : complete === "file"
      ? 'compgen -f -- "$cur"'
      : complete === "directory"
      ? 'compgen -d -- "$cur"'
      : undefined;
    return reply === undefined ? [] : [`    ${name}) COMPREPLY=($(${reply})); return ;;`];
  });
  const common = commonOptions().map(({ name }) => name);
  const byCommand = commands.map(({ name, options, words }) => {
    const own = [...shellOptions(options).map((option) => option.name), ...common].join(" ");
    const word = words[0]?.complete === "netns"
      ? " words=$(ls /run/netns 2>/dev/null)"
      : words[0]?.choices === undefined
      ? ""
      : ` words='${words[0].choices.join(" ")}'`;
    return `    '${name}') options='${own}'${word} ;;`;
  });
  const byGroup = groups(commands).map((group) =>
    `    '${group}') options='${common.join(" ")}' words='${
      wordsAfter(group, tree).map(([word]) => word).join(" ")
    }' ;;`
  );
  const inGroups = groups(commands).filter((group) => group !== "");
  return `# bash completion for knet, made by "knet completion bash"
_knet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' options='' words='' at
  # "--flag=value" is three words to bash.
  if [[ $cur == '=' ]]; then cur=''
  elif [[ $prev == '=' ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "\${COMP_WORDS[at]}" in
    ${valued.map(({ name }) => name).join("|")})
      [[ \${COMP_WORDS[at+1]} == '=' ]] && ((at++))
      ((at++)) ;;
    -*|=) ;;
    *)
      case "$command" in
      '') command=\${COMP_WORDS[at]} ;;
      ${inGroups.join("|")}) command="$command \${COMP_WORDS[at]}" ;;
      esac ;;
    esac
  done
  case "$prev" in
${values.join("\n")}
    ${valued.map(({ name }) => name).join("|")}) return ;;
  esac
  case "$command" in
${[...byGroup, ...byCommand].join("\n")}
  esac
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur"))
  else COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _knet knet
`;
}
