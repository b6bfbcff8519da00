/**
 * The version, for the command line: `knet --version`, `-V`, and `knet version`.
 *
 * @module
 */
import { VERSION } from "../core/base/version.ts";
import { defineCommand } from "./command.ts";
import { print, printJson } from "./output.ts";

export { VERSION };

/** Prints the version. */
export function printVersion(json = false): void {
  if (json) printJson({ version: VERSION });
  else print(`knet ${VERSION}`);
}

/** The command. */
export const version = defineCommand({
  name: "version",
  hardlyLogs: true,
  summary: "Print the version",
  words: [],
  options: {},
  examples: [{ line: "knet version --json", about: "for programs" }],
  run: ({ settings }) => Promise.resolve(printVersion(settings.json)),
});
