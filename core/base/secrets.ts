/**
 * Passwords in text that is going to be printed: URLs of stores, words of drivers, the administrator's own arguments.
 *
 * In doubt too much is hidden. Every character is looked at a bounded number of times: the text may be anybody's.
 *
 * @module
 */

/** Where a URL's user begins; the scheme of a store may lack its slashes. */
const START = /:\/\/(?!\/)|\bpostgres(?:ql)?:\/?(?!\/)/gi;

/** `password=…` as URLs and libpq's connection strings have it, quoted or not. */
const NAMED = /(password\s{0,3}=\s{0,3})(?:'[^']*'?|"[^"]*"?|[^\s&"']+)/gi;

const END_OF_WORD = /[\s"']/g;

function find(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

/** Hides the passwords within a text: `postgres://knet:****@db/knet`. */
export function hidePasswords(text: string): string {
  return replacePasswords(text, ":****");
}

/** A store's URL without its password, as it may be given again where that comes from elsewhere: `postgres://knet@db/knet`. */
export function redactUrl(url: string): string {
  return replacePasswords(url, "");
}

/** @param mark What stands in the place of a password after a user, with the colon before it. */
function replacePasswords(text: string, mark: string): string {
  let shown = "";
  let done = 0;
  const last = text.lastIndexOf("@");
  START.lastIndex = 0;
  for (let match = START.exec(text); match !== null; match = START.exec(text)) {
    const from = match.index + match[0].length;
    const end = find(END_OF_WORD, text, from);
    let word = text.slice(from, end);
    // A user that holds what ends a word, before an @ that there is.
    if (!/[:@/?]/.test(word) && last > end) {
      const colon = find(/[:@/?]/g, text, end);
      if (text[colon] === ":") word = text.slice(from, colon + 1);
    }
    // The colons of an IPv6 address in brackets end no user.
    const colon = word.indexOf(":", word.startsWith("[") ? Math.max(word.indexOf("]"), 0) : 0);
    const at = word.lastIndexOf("@");
    START.lastIndex = Math.max(from, end);
    if (colon < 0 || at >= 0 && at < colon) continue; // No password: a user alone, or none.
    const port = /^(?:\d{1,5}(?:[,/?:.)]|$)|\/|$)/.test(word.slice(colon + 1));
    if (at < 0 && (last < from || word.startsWith("[")) && port) continue;
    // A password may hold what ends a word: it goes up to the last @ that there is.
    const stop = last >= from ? last : end;
    shown += text.slice(done, from + colon) + mark;
    done = stop;
    START.lastIndex = stop;
  }
  return (shown + text.slice(done)).replace(NAMED, "$1****");
}
