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
      {
        line: "knet completion bash > /etc/bash_completion.d/knet",
        about: "for all users of bash",
      },
      {
        line: 'knet completion zsh > "${fpath[1]}/_knet"',
        about: "for zsh",
      },
      {
        line: "knet completion fish > ~/.config/fish/completions/knet.fish",
        about: "for fish",
      },
    ],
    run: async ({ words }) => {
      const make = SHELLS[words[0] as keyof typeof SHELLS];
      print(make({ entries: commands, commands: await allCommands(commands) }));
    },
  });

/** Every command, those of groups one by one. */
async function allCommands(commands: readonly CommandEntry[]): Promise<Command[]> {
  const loaded = await Promise.all(commands.map(({ load }) => load()));
  return loaded.flatMap((each) => "run" in each ? [each] : each.commands);
}
