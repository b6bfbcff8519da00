/**
 * Room for the neighbours of many hosts in one kernel, which counts those of all its namespaces together (arp(7), gc_thresh3): with fifty
 * that ask each other the table overflows, and connections are refused that real hosts would get.
 *
 * @module
 */

const FOLDER = "/proc/sys/net/ipv4/neigh/default";
/** Entries that are left alone, that are kept for some seconds, and that there may be: the last for 100 hosts. */
const WANTED = { gc_thresh1: 4096, gc_thresh2: 8192, gc_thresh3: 16_384 } as const;

/** Makes room until disposed of. */
export function roomForNeighbours(): Disposable {
  const before = Object.entries(WANTED).map(([name, wanted]) => {
    const path = `${FOLDER}/${name}`;
    const found = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, `${Math.max(wanted, Number(found))}`);
    return [path, found] as const;
  });
  return {
    [Symbol.dispose]() {
      for (const [path, found] of before) Deno.writeTextFileSync(path, found.trim());
    },
  };
}
