/**
 * Text from outside, fit to be shown: names in rows, words of other programs, arguments. A terminal obeys what it is sent.
 *
 * @module
 */

/**
 * Controls (C0 but line feed and tab, DEL, C1), what turns the direction of writing or is not seen at all, line ends of Unicode, and
 * halves of surrogates.
 */
const INVISIBLE =
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function escaped(char: string): string {
  const code = char.charCodeAt(0);
  return code < 0x80
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** The text with what a terminal would obey or hide written out: `\x1b`, `\u202e`. Line feeds and tabs stay. Linear in the text. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, escaped);
}

/** One line of it at most, for names within a sentence or a table: line feeds and tabs are written out too, and the rest cut off. */
export function visibleName(text: string, most = 120): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return visible(cut).replace(/[\n\t]/g, (char) => char === "\n" ? "\\n" : "\\t");
}
