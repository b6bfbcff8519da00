/**
 * Completion for fish.
 *
 * @module
 */
import { commonOptions, groups, shellOptions, wordsAfter } from "./model.ts";
import type { CommandTree } from "./model.ts";
import { isStored } from "./candidates.ts";
import type { ShellOption } from "./model.ts";

/** Knet is told the words before the one that is typed. */
const ASK = "(knet __complete (commandline -opc)[2..] 2>/dev/null)";

const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;

function option(condition: string | undefined, each: ShellOption): string {
  const values = each.choices.length > 0
    ? ` -x -a ${quote(each.choices.join(" "))}`
    : each.complete === "directory"
    ? " -x -a '(__fish_complete_directories)'"
    : each.complete === "file"
    ? " -r -F"
    : each.complete === "interface"
    ? " -x -a '(ls /sys/class/net 2>/dev/null)'"
    : isStored(each.complete)
    ? ` -x -a ${quote(ASK)}`
    : each.takesValue
    ? " -x"
    : "";
  const when = condition === undefined ? "" : ` -n ${quote(condition)}`;
  return `complete -c knet${when} -l ${each.name.slice(2)}${values} -d ${quote(each.help)}`;
}

/** When a command's own options and words apply. */
function conditionOf(name: string): string {
  return name.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
}

/** The script. */
export function fishCompletion(tree: CommandTree): string {
  const { commands } = tree;
  const lines = [
    '# fish completion for knet, made by "knet completion fish"',
    "complete -c knet -f",
    ...commonOptions().map((each) => option(undefined, each)),
  ];
  for (const group of groups(commands)) {
    const words = wordsAfter(group, tree);
    const condition = group === ""
      ? "__fish_use_subcommand"
      : `__fish_seen_subcommand_from ${group}; and not __fish_seen_subcommand_from ${
        words.map(([word]) => word).join(" ")
      }`;
    for (const [word, summary] of words) {
      lines.push(`complete -c knet -n ${quote(condition)} -a ${word} -d ${quote(summary)}`);
    }
  }
  for (const { name, options, words } of commands) {
    const condition = conditionOf(name);
    lines.push(...shellOptions(options).map((each) => option(condition, each)));
    if (words.some(({ complete }) => isStored(complete))) {
      lines.push(`complete -c knet -n ${quote(condition)} -a ${quote(ASK)}`);
    }
    for (const { choices, complete } of words) {
      const candidates = complete === "netns" ? "(ls /run/netns 2>/dev/null)" : choices?.join(" ");
      if (candidates !== undefined) {
        lines.push(`complete -c knet -n ${quote(condition)} -a ${quote(candidates)}`);
      }
    }
  }
  return `${lines.join("\n")}\n`;
}
