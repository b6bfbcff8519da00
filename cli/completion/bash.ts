/**
 * Completion for bash; needs nothing of the package bash-completion.
 *
 * @module
 */
import { commonOptions, groups, shellOptions, valuedOptions, wordsAfter } from "./model.ts";
import { isStored } from "./candidates.ts";
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
      : complete === "interface"
      ? 'compgen -W "$(ls /sys/class/net 2>/dev/null)" -- "$cur"'
      : undefined;
    if (isStored(complete)) return [`    ${name}) _knet_ask; return ;;`];
    return reply === undefined ? [] : [`    ${name}) COMPREPLY=($(${reply})); return ;;`];
  });
  const common = commonOptions().map(({ name }) => name);
  const byCommand = commands.map((command) => {
    const { name, options, words } = command;
    const ask = words.some(({ complete }) => isStored(complete)) ? " ask=1" : "";
    const own = [...shellOptions(options).map((option) => option.name), ...common].join(" ");
    const word = words[0]?.complete === "netns"
      ? " words=$(ls /run/netns 2>/dev/null)"
      : words[0]?.choices === undefined
      ? ""
      : ` words='${words[0].choices.join(" ")}'`;
    return `    '${name}') options='${own}'${word}${ask} ;;`;
  });
  const byGroup = groups(commands).map((group) =>
    `    '${group}') options='${common.join(" ")}' words='${
      wordsAfter(group, tree).map(([word]) => word).join(" ")
    }' ;;`
  );
  const inGroups = groups(commands).filter((group) => group !== "");
  return `# bash completion for knet, made by "knet completion bash"
_knet_ask() { # the names that knet knows for this place
  local before=\${cur%"\${cur##*:}"} one
  while IFS= read -r one; do
    [[ $one == "$cur"* ]] && COMPREPLY+=("\${one#"$before"}")
  done < <(knet __complete "\${line[@]:1:last-1}" 2>/dev/null)
}
_knet() {
  local -a line=()
  local word last=-1 cur prev command='' options='' words='' ask='' at
  # A colon divides words to bash, but not to knet.
  for word in "\${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if ((last > 0)) && [[ $word == :* || \${line[last]} == *: ]]; then line[last]+=$word
    else line+=("$word"); ((++last))
    fi
  done
  cur=\${line[last]} prev=\${line[last-1]}
  # "--flag=value" is three words to bash.
  if [[ $cur == '=' ]]; then cur=''
  elif [[ $prev == '=' ]]; then prev=\${line[last-2]}
  fi
  for ((at = 1; at < last; at++)); do
    case "\${line[at]}" in
    ${valued.map(({ name }) => name).join("|")})
      [[ \${line[at+1]} == '=' ]] && ((at++))
      ((at++)) ;;
    -*|=) ;;
    *)
      case "$command" in
      '') command=\${line[at]} ;;
      ${inGroups.join("|")}) command="$command \${line[at]}" ;;
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
  elif [[ -n $ask ]]; then _knet_ask
  else COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _knet knet
`;
}
