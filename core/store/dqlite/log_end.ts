/**
 * How far a copy is: the end of the log of Raft as it lies on the disk, read without the library.
 *
 * The files are libraft's (disk format 1): `metadata1` and `metadata2`, closed segments `FIRST-LAST`, open ones `open-N`, snapshots
 * `snapshot-TERM-INDEX-TIME`. A segment is the word 1, then batches: two checksums of 32 bits, the count of entries, 16 bytes an entry
 * (term, type and size), and their data, each padded to a word.
 *
 * @module
 */
import { join } from "node:path";

/** An entry of the log, by which copies are compared: the later term is newer, then the higher index. */
export interface LogPosition {
  readonly term: number;
  readonly index: number;
}

/** Negative if the first is the older one. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  return a.term - b.term || a.index - b.index;
}

const WORD = 8;
const FORMAT = 1n;

/** The number of entries in a segment, and the term of the last one. What makes no sense ends it, as it does for the library. */
export function readSegment(bytes: Uint8Array): { readonly count: number; readonly term: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0, term = 0;
  if (bytes.length < WORD || view.getBigUint64(0, true) !== FORMAT) return { count, term };
  for (let at = WORD; at + 2 * WORD <= bytes.length;) {
    const entries = Number(view.getBigUint64(at + WORD, true));
    let data = at + 2 * WORD + entries * 2 * WORD;
    if (entries === 0 || data > bytes.length) break;
    let last = 0;
    for (let n = 0; n < entries; n++) {
      const entry = at + 2 * WORD + n * 2 * WORD;
      last = Number(view.getBigUint64(entry, true));
      data += Math.ceil(view.getUint32(entry + WORD + 4, true) / WORD) * WORD;
    }
    if (data > bytes.length) break;
    [count, term, at] = [count + entries, last, data];
  }
  return { count, term };
}

/**
 * The last entry of the copy in a directory; undefined where there is none.
 *
 * @param data The directory that the library writes. An agent that runs may write on.
 * @throws if it cannot be read.
 */
export function logEnd(data: string): LogPosition | undefined {
  let end: LogPosition | undefined;
  const take = (found: LogPosition) => {
    if (end === undefined || found.index > end.index) end = found;
  };
  const names = [...Deno.readDirSync(data)].map(({ name }) => name).sort();
  const isClosed = (name: string) => /^\d{16}-\d{16}$/.test(name);
  // By their names the last one goes on where those before it end.
  const last = names.findLast(isClosed);
  for (const name of names) {
    const snapshot = /^snapshot-(\d+)-(\d+)-\d+$/.exec(name);
    if (snapshot !== null) take({ term: Number(snapshot[1]), index: Number(snapshot[2]) });
    const closed = /^\d{16}-(\d{16})$/.exec(name);
    if (closed === null || name !== last) continue;
    const { term } = readSegment(Deno.readFileSync(join(data, name)));
    take({ term, index: Number(closed[1]) });
  }
  const open = names.map((name) => /^open-(\d+)$/.exec(name)).filter((found) => found !== null)
    .sort((a, b) => Number(a[1]) - Number(b[1]));
  for (const { 0: name } of open) {
    const { count, term } = readSegment(Deno.readFileSync(join(data, name)));
    if (count > 0) take({ term, index: (end?.index ?? 0) + count });
  }
  return end;
}
