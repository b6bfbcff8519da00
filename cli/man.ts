/**
 * Manual pages (man(7), roff) from the commands' own descriptions: one for the program, one for each command.
 *
 * @module
 */
import type { Command, CommandEntry, CommandGroup } from "./command.ts";
import { optionNote, type OptionTable } from "./option_table.ts";

/** What pages are made of beside the commands. */
export interface ManFacts {
  readonly version: string;
  /** Options of every command. */
  readonly globalOptions: OptionTable;
}

/** All pages by the name of their file: `knet.1`, `knet-lease-ls.1`. */
export async function manPages(
  commands: readonly CommandEntry[],
  facts: ManFacts,
): Promise<Map<string, string>> {
  const loaded = await Promise.all(commands.map(({ load }) => load()));
  const all = loaded.flatMap((each: Command | CommandGroup) =>
    "run" in each ? [each] : each.commands
  );
  const pages = new Map([["knet.1", rootPage(all, facts)]]);
  for (const command of all) pages.set(`${pageName(command)}.1`, commandPage(command, facts));
  return pages;
}

/** The name of a command's page: `knet-lease-ls`. */
function pageName({ name }: Command): string {
  return `knet-${name.replaceAll(" ", "-")}`;
}

/** Text as roff takes it: neither a backslash nor a leading dot or quote means anything, and all is ASCII. */
function escape(text: string): string {
  return text.replaceAll("…", "...").replaceAll("\\", "\\(rs").replaceAll("-", "\\-").replace(
    /^(?=[.'])/gm,
    "\\&",
  )
    .replace(
      /[^\n\x20-\x7e]/gu,
      (char) => `\\[u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

function title(name: string, version: string): string {
  return `.TH ${name.toUpperCase().replaceAll("-", "\\-")} 1 "" "knet ${version}" "knet"\n`;
}

function section(name: string, body: string): string {
  return body === "" ? "" : `.SH ${name}\n${body}`;
}

function options(table: OptionTable): string {
  return Object.entries(table).filter(([, { hidden }]) => !hidden).map(([name, option]) => {
    const short = option.short === undefined ? "" : `\\fB\\-${option.short}\\fR, `;
    const metavar = option.kind === "value" ? ` \\fI${escape(option.metavar)}\\fR` : "";
    return `.TP\n${short}\\fB\\-\\-${escape(name)}\\fR${metavar}\n${escape(optionNote(option))}\n`;
  }).join("");
}

const STATUS = [
  ["0", "done"],
  ["1", "failed"],
  ["2", "wrong usage"],
  ["3", "the host lacks something: root, a kernel feature, a library"],
  ["4", "a conflict with what the store holds"],
].map(([status, meaning]) => `.TP\n${status}\n${meaning}\n`).join("");

function rootPage(commands: readonly Command[], { version, globalOptions }: ManFacts): string {
  return title("knet", version) +
    section("NAME", "knet \\- one flat container network across a handful of hosts\n") +
    section("SYNOPSIS", ".B knet\n.I COMMAND\n[\\fIOPTIONS\\fR]\n") +
    section(
      "COMMANDS",
      commands.map((command) =>
        `.TP\n\\fB${escape(pageName(command))}\\fR(1)\n${escape(command.summary)}\n`
      ).join(""),
    ) +
    section("OPTIONS OF EVERY COMMAND", options(globalOptions)) +
    section("EXIT STATUS", STATUS) +
    section("FILES", ".I /etc/knet/knet.yaml\n.br\n.I /etc/default/knet\n");
}

function commandPage(command: Command, { version, globalOptions }: ManFacts): string {
  const words = command.words.map(({ name, optional }) =>
    optional ? ` [\\fI${escape(name)}\\fR]` : ` \\fI${escape(name)}\\fR`
  );
  const about = [command.summary, ...command.about ?? []].map((text) => `${escape(text)}\n`);
  return title(pageName(command), version) +
    section("NAME", `${escape(pageName(command))} \\- ${escape(command.summary)}\n`) +
    section(
      "SYNOPSIS",
      `\\fBknet ${escape(command.name)}\\fR${words.join("")} [\\fIOPTIONS\\fR]\n`,
    ) +
    section("DESCRIPTION", about.join(".PP\n")) +
    section(
      "ARGUMENTS",
      command.words.map(({ name, help }) => `.TP\n\\fI${escape(name)}\\fR\n${escape(help)}\n`).join(
        "",
      ),
    ) +
    section("OPTIONS", options(command.options)) +
    section("OPTIONS OF EVERY COMMAND", options(globalOptions)) +
    section(
      "EXAMPLES",
      command.examples.map(({ line, about }) => `.TP\n\\fB${escape(line)}\\fR\n${escape(about)}\n`)
        .join(""),
    ) +
    section("EXIT STATUS", STATUS) +
    section("SEE ALSO", ".BR knet (1)\n");
}
