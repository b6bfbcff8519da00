/**
 * The one place that prints results: tables for people, JSON for programs, colour on a terminal.
 *
 * @module
 */
import { KnetError, messageOf } from "../core/base/error.ts";

import { visible, visibleName } from "../core/base/visible.ts";

const encoder = new TextEncoder();

/** The colours that this file makes; all else that a terminal would obey comes from outside. */
// deno-lint-ignore no-control-regex -- they begin with one
const OWN_COLOUR = /(\x1b\[(?:0|1|2|3[123])m)/;

/** A text for a terminal or a file: what comes from outside cannot command either. */
function tame(text: string): string {
  if (!text.includes("\x1b[")) return visible(text);
  return text.split(OWN_COLOUR).map((part, n) => n % 2 === 1 ? part : visible(part)).join("");
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(tame(text));
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return; // `knet lease ls | head` is no failure.
      if (error instanceof Deno.errors.WouldBlock) continue;
      throw error;
    }
  }
}

/**
 * Prints a result to standard output, with a line feed at its end.
 *
 * @throws {KnetError} if it cannot be written: the file system is full, say, or standard output is closed.
 */
export function print(text: string): void {
  try {
    writeAll(Deno.stdout, text === "" || text.endsWith("\n") ? text : `${text}\n`);
  } catch (error) {
    throw new KnetError(`Cannot write the result to standard output: ${messageOf(error)}`, {
      remedy: "What the command changes is done; run it again where the output has a place",
      cause: error,
    });
  }
}

/** Prints to standard error: what is not a result. If that cannot be written, nobody is there to be told. */
export function printError(text: string): void {
  try {
    writeAll(Deno.stderr, text.endsWith("\n") ? text : `${text}\n`);
  } catch {
    // The exit status says the rest.
  }
}

/** Prints one JSON document. */
export function printJson(document: unknown): void {
  print(JSON.stringify(document, undefined, 2));
}

/** Colours that carry a meaning. */
export type Tone = "good" | "warn" | "bad" | "dim" | "bold";

const CODES: Record<Tone, string> = { good: "32", warn: "33", bad: "31", dim: "2", bold: "1" };

/** Whether a stream gets colours: a terminal that is not dumb, and NO_COLOR (no-color.org) is not set. */
export function wantsColor(
  stream: { isTerminal(): boolean },
  environment: (name: string) => string | undefined = (name) => Deno.env.get(name),
): boolean {
  return stream.isTerminal() && !environment("NO_COLOR") && environment("TERM") !== "dumb";
}

let colorOfStdout: boolean | undefined;

/** Paints a text for standard output, or leaves it as it is. */
export function paint(tone: Tone, text: string): string {
  colorOfStdout ??= wantsColor(Deno.stdout);
  return colorOfStdout ? `\x1b[${CODES[tone]}m${text}\x1b[0m` : text;
}

/** Paints the name of the program before an error, on standard error. */
export function paintError(text: string): string {
  return wantsColor(Deno.stderr) ? `\x1b[${CODES.bad}m${text}\x1b[0m` : text;
}

/** One cell of a table: a text, or a text with a tone. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

const textOf = (cell: Cell) => visibleName(typeof cell === "string" ? cell : cell.text, 400);

/** The narrowest that a column is made, characters. */
const NARROWEST = 8;

/** Columns of the terminal that standard output is, characters; `undefined` where it is none: a file or a pipe gets everything. */
function terminalWidth(): number | undefined {
  if (!Deno.stdout.isTerminal()) return undefined;
  const asked = Number(Deno.env.get("COLUMNS"));
  if (Number.isInteger(asked) && asked > 0) return asked;
  try {
    return Deno.consoleSize().columns || undefined;
  } catch {
    return undefined;
  }
}

/** Takes of the widest columns what the table is too wide by. A table that does not fit with all columns narrow stays as it is. */
function fitted(widths: readonly number[], most: number): readonly number[] {
  const fit = [...widths];
  let excess = widths.reduce((sum, width) => sum + width, 0) + 2 * (widths.length - 1) - most;
  for (; excess > 0; excess--) {
    const widest = fit.indexOf(Math.max(...fit));
    if (fit[widest]! <= NARROWEST) return widths;
    fit[widest]!--;
  }
  return fit;
}

const cut = (text: string, most: number) =>
  text.length <= most ? text : `${text.slice(0, most - 1)}…`;

/**
 * Lays out a table: headings in capitals, columns two spaces apart, no space at line ends. Empty cells show as "-". On a terminal that
 * is narrower, the widest columns are cut, with "…" where something is missing.
 *
 * @param most Characters of a line; without it as many as the terminal has.
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  colour: (tone: Tone, text: string) => string = paint,
  most: number = terminalWidth() ?? Infinity,
): string {
  const all: (readonly Cell[])[] = [
    headings.map((text) => ({ text: text.toUpperCase(), tone: "bold" as const })),
    ...rows.map((row) => row.map((cell) => textOf(cell) === "" ? "-" : cell)),
  ];
  const widths = fitted(
    headings.map((_, column) =>
      all.reduce((width, row) => Math.max(width, textOf(row[column] ?? "").length), 0)
    ),
    most,
  );
  return all.map((row) =>
    row.map((cell, column) => {
      const text = cut(textOf(cell), widths[column] ?? 0);
      const space = column === row.length - 1
        ? ""
        : " ".repeat((widths[column] ?? 0) - text.length + 2);
      return (typeof cell === "string" ? text : colour(cell.tone, text)) + space;
    }).join("").trimEnd()
  ).join("\n");
}

/** Lays out names and values, one pair a line; pairs without a value are left out. */
export function pairs(
  list: readonly (readonly [name: string, value: string | undefined])[],
): string {
  const shown = list.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${paint("dim", name.padEnd(width))}  ${value}`).join("\n");
}

/** A span of time in its two largest units: "3 h 20 min", "45 s". */
export function duration(milliseconds: number): string {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  const units: [string, number][] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [name, size] = units[first]!;
  const whole = `${Math.floor(seconds / size)} ${name}`;
  const next = units[first + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[1]);
  return rest === 0 ? whole : `${whole} ${rest} ${next![0]}`;
}

/** A moment seen from another: "in 3 h", "20 min ago". */
export function relative(moment: number, now: number): string {
  const text = duration(moment - now);
  return moment >= now ? `in ${text}` : `${text} ago`;
}

/** A moment in full: RFC 3339 in UTC. */
export function timestamp(moment: number): string {
  return new Date(moment).toISOString();
}

/** A short span of time, in milliseconds: "0.42 ms", "13 ms". */
export function milliseconds(span: number): string {
  return `${span < 1 ? span.toFixed(2) : span < 10 ? span.toFixed(1) : Math.round(span)} ms`;
}
