/**
 * Counts in sentences.
 *
 * @module
 */

/** A number of things: "1 peer", "2 peers"; `many` where an s does not do. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
