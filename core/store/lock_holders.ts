/**
 * Whether those who hold a lock on a file get on with it. A lock that goes from hand to hand, or whose holder works, is waited for;
 * one whose holder sleeps or is stopped will not be given back.
 *
 * @module
 */

/** Reads a file of /proc; undefined if it is not there. */
export type ReadProc = (path: string) => string | undefined;

/** Process ids that hold a POSIX lock on the file with an inode, as /proc/locks (proc(5)) lists them; waiting ones left out. */
export function holdersOf(locks: string, inode: number): number[] {
  const pids = new Set<number>();
  for (const line of locks.split("\n")) {
    const [, pid, ino] = /^\d+: POSIX +\S+ +\S+ +(-?\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line) ??
      [];
    if (ino !== undefined && Number(ino) === inode) pids.add(Number(pid));
  }
  return [...pids].sort((a, b) => a - b);
}

/** State and processor time of a process by the text of its stat (proc(5)); "" if it makes no sense. */
export function workOf(stat: string): { readonly state: string; readonly ticks: number } {
  // The name, in parentheses, may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", ticks: Number(fields[11]) + Number(fields[12]) };
}

/**
 * What tells one look from the next, if the holders get on: who they are and how long they have worked. Holders on other hosts are not
 * seen.
 *
 * @returns the text, and whether one of them runs at this moment.
 */
export function progressOf(inode: number, read: ReadProc): { text: string; running: boolean } {
  const holders = holdersOf(read("/proc/locks") ?? "", inode);
  const works = holders.filter((pid) => pid > 0)
    .map((pid) => workOf(read(`/proc/${pid}/stat`) ?? ""));
  return {
    text: holders.join() + ":" + works.map(({ ticks }) => ticks).join(),
    running: works.some(({ state }) => state === "R" || state === "D"),
  };
}
