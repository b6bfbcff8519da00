/**
 * What a page of the manual wants to be run: its fenced blocks of shell and SQL, and what HTML comments say about them.
 *
 * A comment above a block says where it runs, or why it does not:
 *
 *     <!-- not run: needs systemd as process 1 -->
 *     <!-- run on every host -->       (host 1 by itself is what happens without a comment)
 *     <!-- run on host 2 -->
 *     <!-- run in the tree -->         (on this machine, in the checkout)
 *
 * With a colon and lines of its own a comment is a block itself, which readers do not see: what stands for a block that is not run,
 * or what has to be there before.
 *
 *     <!-- run on every host:
 *     . tests/docs/cluster.sh
 *     -->
 *
 * @module
 */

/** Where a block runs: a number of a host (1 is the first), all of them one after the other, the database's host, or the checkout. */
export type Place = number | "every host" | "database" | "tree";

/** One block that is run, or says why not. */
export interface Block {
  /** Line in the page of the script's first line, counted from 1. */
  readonly line: number;
  readonly script: string;
  readonly place: Place;
  /** Why it is not run; undefined where it is. */
  readonly notRun?: string;
}

/** Languages of fenced blocks that are no commands for a host. */
const OTHER_LANGUAGES = new Set(["ts", "yaml", "hcl", "text"]);

/** The fence of what is run. */
const COMMANDS = /^ *```(sh|sql)$/;

/**
 * The blocks of a page, in its order.
 *
 * @throws {SyntaxError} naming the line: a fence without language or end, a comment that is not understood or stands above no block.
 */
export function blocksOf(page: string): Block[] {
  const lines = page.split("\n");
  const blocks: Block[] = [];
  /** What the comment above the line says. */
  let above: Pick<Block, "place" | "notRun"> | undefined;
  for (let i = 0; i < lines.length; i++) {
    const text = lines[i]!;
    const fence = /^ *```(\S*)$/.exec(text);
    const comment = /^<!-- ((?:not )?run\b.*?)(?: -->)?$/.exec(text);
    if (comment !== null) {
      const hidden = !text.endsWith(" -->");
      above = directive(comment[1]!.replace(/:$/, ""), i + 1);
      if (!hidden) {
        const next = lines[i + 1] === "" ? lines[i + 2] : lines[i + 1]; // `deno fmt` sets a blank line between.
        if (COMMANDS.test(next ?? "")) continue;
        throw new SyntaxError(`line ${i + 1}: a comment above no block`);
      }
      const end = endOf(lines, i, /^-->$/);
      blocks.push({ line: i + 2, script: lines.slice(i + 1, end).join("\n"), ...above });
      above = undefined;
      i = end;
    } else if (fence !== null) {
      const end = endOf(lines, i, /^ *```$/);
      const language = fence[1]!;
      if (COMMANDS.test(text)) {
        const place = language === "sql" ? "database" : 1;
        const script = lines.slice(i + 1, end).join("\n");
        blocks.push({ line: i + 2, script, place, ...above });
        above = undefined;
      } else if (!OTHER_LANGUAGES.has(language)) {
        throw new SyntaxError(`line ${i + 1}: a block of language "${language}"`);
      }
      i = end;
    }
  }
  return blocks;
}

function endOf(lines: readonly string[], begin: number, end: RegExp): number {
  const at = lines.findIndex((text, i) => i > begin && end.test(text));
  if (at < 0) throw new SyntaxError(`line ${begin + 1}: a block without an end`);
  return at;
}

function directive(text: string, line: number): Pick<Block, "place" | "notRun"> {
  const reason = /^not run: (.+)$/.exec(text)?.[1];
  if (reason !== undefined) return { place: 1, notRun: reason };
  const place = /^run (?:on (every host|host (\d))|in the (tree))$/.exec(text);
  if (place === null) throw new SyntaxError(`line ${line}: a comment that is not understood`);
  if (place[2] !== undefined) return { place: Number(place[2]) };
  return { place: place[1] === "every host" ? "every host" : "tree" };
}
