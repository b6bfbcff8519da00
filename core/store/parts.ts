/**
 * Statements over lists of any length, a part of the list at a time.
 *
 * @module
 */

/** Values in one statement: Postgres takes 65535, SQLite 32766. */
const MOST_VALUES = 2000;

/**
 * Runs a query for each part of a list and puts the rows together.
 *
 * @param width Values that one entry of the list takes.
 */
export async function inParts<T, R>(
  list: readonly T[],
  query: (part: T[]) => PromiseLike<readonly R[]>,
  width: number = 1,
): Promise<R[]> {
  const most = Math.max(1, Math.floor(MOST_VALUES / width));
  const rows: R[] = [];
  for (let at = 0; at < list.length; at += most) {
    for (const row of await query(list.slice(at, at + most))) rows.push(row);
  }
  return rows;
}
