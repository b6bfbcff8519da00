/**
 * The blocks of a keepalived.conf (keepalived.conf(5)): words, each with what stands behind it on its line, and what is in its braces.
 *
 * @module
 */

/** A word with what belongs to it. */
export interface Statement {
  readonly line: number;
  readonly word: string;
  readonly values: readonly string[];
  /** What is in its braces; absent without braces. */
  readonly block?: readonly Statement[];
}

/** A mistake in the file. */
export class BlockError extends SyntaxError {
  constructor(readonly line: number, message: string) {
    super(message);
  }
}

interface Token {
  readonly line: number;
  readonly text: string;
  readonly kind: "word" | "{" | "}" | "end";
}

/** Deeper than any file is. */
const MOST_DEPTH = 20;

/** Words, braces and ends of lines; comments begin with `#` or `!`. */
function tokens(text: string, line: number, found: Token[]): void {
  const pattern = /\s+|[#!].*|"([^"]*)"|'([^']*)'|([{}])|[^\s"'{}#!]+|["']/gy;
  for (const match of text.matchAll(pattern)) {
    const [all, double, single, brace] = match;
    if (/^[\s#!]/.test(all)) continue;
    if (all === '"' || all === "'") throw new BlockError(line, "a quote does not end on its line");
    if (brace === "{" || brace === "}") found.push({ line, text: brace, kind: brace });
    else found.push({ line, text: double ?? single ?? all, kind: "word" });
  }
  found.push({ line, text: "", kind: "end" });
}

/** Puts `$NAME=VALUE` in the place of `$NAME` and `${NAME}`. */
class Definitions {
  readonly #values = new Map<string, string>();

  /** The line with its values, or undefined if it defines one. */
  take(text: string, line: number): string | undefined {
    const defined = /^\s*\$([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/.exec(text);
    if (defined !== null) {
      const value = defined[2]!.trim();
      if (value.endsWith("\\")) {
        throw new BlockError(line, `"$${defined[1]}" has several lines: write them out`);
      }
      this.#values.set(defined[1]!, this.#filled(value, line));
      return undefined;
    }
    if (/^\s*@/.test(text)) {
      throw new BlockError(line, "the line holds on some hosts only: write out what holds for all");
    }
    if (/^\s*~SEQ/.test(text)) {
      throw new BlockError(line, '"~SEQ" is not known: write its lines out');
    }
    return this.#filled(text, line);
  }

  #filled(text: string, line: number): string {
    const comment = /[#!]/.exec(text)?.index ?? text.length;
    const filled = text.slice(0, comment).replace(
      /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))/g,
      (all, braced: string | undefined, bare: string | undefined) => {
        const value = this.#values.get(braced ?? bare!);
        if (value === undefined) throw new BlockError(line, `"${all}" is not defined before`);
        return value;
      },
    );
    return filled + text.slice(comment);
  }
}

/**
 * Reads the blocks of a file.
 *
 * @throws {BlockError} if braces or quotes do not fit, or a line cannot be understood without the host that it is for.
 */
export function readBlocks(text: string): Statement[] {
  const found: Token[] = [];
  const definitions = new Definitions();
  for (const [index, one] of text.split(/\r?\n/).entries()) {
    const line = definitions.take(one, index + 1);
    if (line !== undefined) tokens(line, index + 1, found);
  }
  let at = 0;
  const statements = (depth: number, opened: number): Statement[] => {
    if (depth > MOST_DEPTH) throw new BlockError(opened, "blocks are in each other too deep");
    const list: Statement[] = [];
    while (at < found.length) {
      const token = found[at++]!;
      if (token.kind === "end") continue;
      if (token.kind === "}") {
        if (depth === 0) throw new BlockError(token.line, '"}" ends no block');
        return list;
      }
      if (token.kind === "{") throw new BlockError(token.line, '"{" begins a block without a name');
      const values: string[] = [];
      while (found[at]?.kind === "word") values.push(found[at++]!.text);
      // The brace may stand on a line of its own.
      let next = at;
      while (found[next]?.kind === "end") next++;
      const statement = { line: token.line, word: token.text, values };
      if (found[next]?.kind === "{") {
        at = next + 1;
        list.push({ ...statement, block: statements(depth + 1, token.line) });
      } else list.push(statement);
    }
    if (depth > 0) throw new BlockError(opened, "the block does not end");
    return list;
  };
  return statements(0, 1);
}
