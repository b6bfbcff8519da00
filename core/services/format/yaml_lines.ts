/**
 * From a place in a YAML document to its line.
 *
 * @module
 */
import type { Document, LineCounter, Node } from "yaml";

interface Held {
  readonly items?: readonly unknown[];
  readonly range?: readonly number[] | null;
  readonly key?: { readonly value?: unknown; readonly range?: readonly number[] | null };
  readonly value?: unknown;
  readonly resolve?: (document: Document) => unknown;
}

/** Makes the function that names the line of a path, or of the deepest part of it that is there. */
export function lineFinder(
  document: Document.Parsed,
  counter: LineCounter,
): (path: readonly (string | number)[]) => number {
  return (path) => {
    let node = document.contents as Node | null as Held | null;
    let start = node?.range?.[0] ?? 0;
    for (const part of path) {
      // An alias stands for a node elsewhere; what is in there is found there.
      if (node?.resolve !== undefined && node.items === undefined) {
        node = node.resolve(document) as Held | null;
      }
      const items = node?.items as readonly Held[] | undefined;
      if (items === undefined) break;
      const found = typeof part === "number"
        ? items[part]
        : items.find(({ key }) => String(key?.value) === part);
      if (found === undefined) break;
      start = (typeof part === "number" ? found.range?.[0] : found.key?.range?.[0]) ?? start;
      node = (typeof part === "number" ? found : found.value) as Held | null;
    }
    return counter.linePos(start).line;
  };
}
