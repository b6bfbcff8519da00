/**
 * Finds the word that was probably meant.
 *
 * @module
 */

/**
 * Edits between two words: letters added, dropped, changed, or neighbours swapped (optimal string
 * alignment). Long words are never compared in full: the caller cares for small distances only.
 */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: width }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column < width; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[width - 1] ?? 0;
}

/**
 * The candidate that `word` was probably meant to be, if one is near: a third of its letters may be wrong,
 * or it is the beginning of exactly one candidate.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  const beginnings: string[] = [];
  for (const candidate of candidates) {
    if (word.length > 1 && candidate.startsWith(word)) beginnings.push(candidate);
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best ?? (beginnings.length === 1 ? beginnings[0] : undefined);
}

/**
 * The end of a message about a word that is not known: `, did you mean "join"?`, or nothing if no candidate is near.
 *
 * @param before what comes before the question.
 * @param dashes what comes before the word in it.
 */
export function didYouMean(
  word: string,
  candidates: Iterable<string>,
  { before = ", ", after = "", dashes = "" } = {},
): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? "" : `${before}did you mean "${dashes}${meant}"?${after}`;
}
