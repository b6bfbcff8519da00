/**
 * `knet completion`: prints a completion script, made from the commands' own descriptions.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { defineCommand } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { bashCompletion } from "./completion/bash.ts";
import { fishCompletion } from "./completion/fish.ts";
import { zshCompletion } from "./completion/zsh.ts";
import { print } from "./output.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** The command. */
export const completion = defineCommand({
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
    print(make(await allCommands()));
  },
});

/** Every command, those of groups one by one. */
async function allCommands(): Promise<Command[]> {
  const loaded = await Promise.all(COMMANDS.map(({ load }) => load()));
  return loaded.flatMap((each) => "run" in each ? [each] : each.commands);
}
