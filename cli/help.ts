/**
 * Help pages, made from the commands' own descriptions.
 *
 * @module
 */
import { Help } from "commander";
import type { Command, CommandEntry, CommandGroup } from "./command.ts";
import { globalOptions } from "./options.ts";
import { paint } from "./output.ts";
import type { OptionTable } from "./option_table.ts";

const WIDTH = 80;
/** Columns between what something is called and what it is. */
const GAP = 2;

const layout = new Help();
layout.helpWidth = WIDTH;

function wrap(text: string): string {
  return layout.boxWrap(text, WIDTH - GAP);
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  const width = Math.min(26, Math.max(...rows.map(([left]) => left.length)));
  const lines = rows.map(([left, right]) =>
    left.length <= width
      ? layout.formatItem(left, width, right, layout)
      : `  ${left}\n${layout.formatItem("", width, right, layout)}`
  );
  return `\n${paint("bold", title)}\n${lines.join("\n")}\n`;
}

function optionRows(table: OptionTable): (readonly [string, string])[] {
  return Object.entries(table).filter(([, option]) => !option.hidden).map(([name, option]) => {
    const notes = [
      ...(option.fallback === undefined ? [] : [`default: ${option.fallback}`]),
      ...(option.env === undefined ? [] : [option.env]),
    ];
    const more = option.kind === "value" && option.repeatable ? " …" : "";
    const short = option.short === undefined ? "" : `-${option.short}, `;
    const metavar = option.kind === "value" ? ` ${option.metavar}${more}` : "";
    const left = `${short}--${name}${metavar}`;
    return [left, option.help + (notes.length === 0 ? "" : ` (${notes.join("; ")})`)] as const;
  });
}

const HELP_ROW = ["--help", "Show this page"] as const;

/** The page of `knet --help`. */
export function rootHelp(commands: readonly CommandEntry[]): string {
  return [
    `${paint("bold", "knet")}: one flat container network across a handful of hosts\n`,
    `\n${paint("bold", "Usage")}\n  knet COMMAND [OPTIONS]\n`,
    section("Commands", commands.map(({ name, summary }) => [name, summary] as const)),
    section("Options of every command", [
      ...optionRows(globalOptions),
      HELP_ROW,
      ["--version", "Print the version"],
    ]),
    section(
      "Examples",
      [
        ["knet init --network 10.244.0.0/16", "describe the cluster, once"],
        ["knet join", "on every host"],
        ["knet attach web", "connect the network namespace web"],
      ].map(([line, about]) => [line!, about!] as const),
    ),
    `\nExit status: 0 done, 1 failed, 2 wrong usage, 3 the host lacks something,\n` +
    `4 a conflict with what the store holds.\n` +
    `"knet COMMAND --help" shows a command's options.\n`,
  ].join("");
}

/** The page of `knet COMMAND --help`. */
export function commandHelp(command: Command): string {
  const words = command.words.map(({ name, optional }) => optional ? ` [${name}]` : ` ${name}`);
  return [
    `${paint("bold", `knet ${command.name}`)}: ${command.summary}\n`,
    `\n${paint("bold", "Usage")}\n  knet ${command.name}${words.join("")} [OPTIONS]\n`,
    ...(command.about ?? []).map((paragraph) => `\n${wrap(paragraph)}\n`),
    section("Arguments", command.words.map(({ name, help }) => [name, help] as const)),
    section("Options", [...optionRows(command.options), HELP_ROW]),
    section("Options of every command", optionRows(globalOptions)),
    `\n${paint("bold", "Examples")}\n`,
    ...command.examples.map(({ line, about }) => `  ${line}\n      ${about}\n`),
  ].join("");
}

/** The page of a group: `knet lease --help`. */
export function groupHelp(group: CommandGroup): string {
  return [
    `${paint("bold", `knet ${group.name}`)}: ${group.summary}\n`,
    `\n${paint("bold", "Usage")}\n  knet ${group.name} COMMAND [OPTIONS]\n`,
    section("Commands", group.commands.map((command) => [lastWord(command), command.summary])),
    section("Options of every command", [...optionRows(globalOptions), HELP_ROW]),
    `\n${paint("bold", "Examples")}\n`,
    ...group.commands.flatMap(({ examples }) => examples.slice(0, 1)).map(({ line, about }) =>
      `  ${line}\n      ${about}\n`
    ),
  ].join("");
}

/** The word by which a group knows a command: `reserve` of `lease reserve`. */
export function lastWord(command: Command): string {
  return command.name.slice(command.name.lastIndexOf(" ") + 1);
}
