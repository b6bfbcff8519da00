/**
 * `knet version`.
 *
 * @module
 */
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";
import { versionText } from "./version.ts";

/** The command. */
export const version = defineCommand({
  name: "version",
  hardlyLogs: true,
  summary: "Print the version",
  words: [],
  options: {},
  examples: [{ line: "knet version --json", about: "for programs" }],
  run: ({ settings }) => Promise.resolve(print(versionText(settings.json))),
});
