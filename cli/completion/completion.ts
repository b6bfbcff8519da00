/**
 * `knet completion`: prints a completion script, made from the commands' own descriptions.
 *
 * @module
 */
import { type Command, type CommandEntry, defineCommand } from "../command.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { zshCompletion } from "./zsh.ts";
import { print } from "../output.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** The command; the list that it completes is given, since it is in that list itself. */
export const completionOf = (commands: readonly CommandEntry[]): Command =>
  defineCommand({
    name: "completion",
    summary: "Print a completion script for a shell",
    words: [{ name: "SHELL", help: "bash, zsh or fish", choices: Object.keys(SHELLS) }],
    options: {},
    examples: [
      { line: 'eval "$(knet completion bash)"', about: "for bash: in ~/.bashrc" },
      { line: 'eval "$(knet completion zsh)"', about: "for zsh: in ~/.zshrc, after compinit" },
      { line: "knet completion fish | source", about: "for fish: in ~/.config/fish/config.fish" },
    ],
    run: async ({ words }) => {
      const make = SHELLS[words[0] as keyof typeof SHELLS];
      print(make({ entries: commands, commands: await allCommands(commands) }));
    },
  });

/** The scripts of all shells, by the shell's name. */
export async function completionScripts(
  entries: readonly CommandEntry[],
): Promise<Record<keyof typeof SHELLS, string>> {
  const tree = { entries, commands: await allCommands(entries) };
  return { bash: bashCompletion(tree), zsh: zshCompletion(tree), fish: fishCompletion(tree) };
}

/** Every command, those of groups one by one. */
async function allCommands(commands: readonly CommandEntry[]): Promise<Command[]> {
  const loaded = await Promise.all(commands.map(({ load }) => load()));
  return loaded.flatMap((each) => "run" in each ? [each] : each.commands);
}
