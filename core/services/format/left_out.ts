/**
 * What of another program's file is not taken over, for its sentences.
 *
 * @module
 */
import { visibleName } from "../../base/visible.ts";

/** Collects what is left out: a word once, with all of its lines. */
export class LeftOut {
  readonly #lines = new Map<string, { what: string; why: string; lines: Set<number> }>();

  /**
   * Adds something.
   *
   * @param more What stands behind the word, if that tells it from others.
   */
  add(
    { word, line }: { readonly word: string; readonly line: number },
    why = "knet has nothing like it",
    more = "",
  ): void {
    const what = visibleName(more === "" ? word : `${word} ${more}`);
    const key = `${what}\n${why}`;
    const known = this.#lines.get(key);
    if (known === undefined) this.#lines.set(key, { what, why, lines: new Set([line]) });
    else known.lines.add(line);
  }

  /** Adds what another collected. */
  take(other: LeftOut): void {
    for (const { what, why, lines } of other.#lines.values()) {
      for (const line of lines) this.add({ word: what, line }, why);
    }
  }

  /** A sentence for each word. */
  sentences(): string[] {
    return [...this.#lines.values()].map(({ what, why, lines }) =>
      `Left out ${what} in ${lines.size === 1 ? "line" : "lines"} ${[...lines].join(", ")}: ${why}`
    );
  }
}
