/**
 * How help pages look.
 *
 * @module
 */
import { type Command as Parser, Help, type Option } from "commander";
import type { Example } from "./command.ts";
import { paint } from "./output.ts";

/** What stands on one line of a list, and what is said of it. */
type Row = readonly [term: string, about: string];

/** What is longer stands on a line of its own. */
const LONGEST_TERM = 26;

const heading = (text: string) => paint("bold", text);

/** A command as typed: `knet lease ls`. */
export function fullName(parser: Parser): string {
  return parser.parent === null ? parser.name() : `${fullName(parser.parent)} ${parser.name()}`;
}

/** commander's help in the order and the form of our pages. */
export class HelpLayout extends Help {
  override readonly helpWidth = 78;
  override readonly showGlobalOptions = true;

  override optionTerm({ flags }: Option): string {
    return flags.replace(/^-h, /, "").replace(/[<>]/g, "");
  }

  override formatItem(term: string, width: number, about: string, help: Help): string {
    if (term.length <= width) return super.formatItem(term, width, about, help);
    return `  ${term}\n${super.formatItem("", width, about, help)}`;
  }

  #section(title: string, rows: readonly Row[]): string[] {
    const width = Math.min(LONGEST_TERM, Math.max(...rows.map(([term]) => term.length)));
    const items = rows.map(([term, about]) => this.formatItem(term, width, about, this));
    return this.formatItemList(heading(title), items, this);
  }

  #optionRows(options: readonly Option[]): Row[] {
    return options.map((option) => [this.optionTerm(option), option.description]);
  }

  override formatHelp(parser: Parser): string {
    const own = this.#optionRows(this.visibleOptions(parser));
    if (parser.parent === null) own.push(["-V, --version", "Print the version"]);
    const everywhere = this.#optionRows(this.visibleGlobalOptions(parser));
    const commands = this.visibleCommands(parser);
    return [
      `${heading(fullName(parser))}: ${parser.summary()}`,
      "",
      heading("Usage"),
      `  ${this.commandUsage(parser)}`,
      "",
      ...(parser.description() === ""
        ? []
        : [this.boxWrap(parser.description(), this.helpWidth), ""]),
      ...this.#section(
        "Arguments",
        parser.registeredArguments.map((each) => [each.name(), each.description]),
      ),
      ...this.#section("Commands", commands.map((each) => [each.name(), each.summary()])),
      ...(commands.length > 0
        ? this.#section("Options of every command", [...everywhere, ...own])
        : [
          ...this.#section("Options", own),
          ...this.#section("Options of every command", everywhere),
        ]),
    ].join("\n");
  }
}

/** Examples below a page. */
export function usageExamples(examples: readonly Example[]): string {
  return `\n${heading("Examples")}\n` +
    examples.map(({ line, about }) => `  ${line}\n      ${about}`).join("\n");
}

/** What stands below the page of the program itself. */
export const programExamples = (): string =>
  `\n${heading("Examples")}
  knet init --network 10.244.0.0/16
                              describe the cluster, once
  knet join                   on every host
  knet attach web             connect the network namespace web

Exit status: 0 done, 1 failed, 2 wrong usage, 3 the host lacks something,
4 a conflict with what the store holds.
"knet COMMAND --help" shows a command's options.`;
