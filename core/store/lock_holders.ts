/**
 * Who holds a lock on a file: where that changes, the lock goes from hand to hand, and is waited for. That a holder is busy says
 * nothing: a program may hold a lock for ever and be busy with other things.
 *
 * @module
 */

/**
 * Process ids that hold a POSIX lock on the file with an inode, as /proc/locks (proc(5)) lists them; waiting ones left out, and those of
 * other hosts not seen.
 */
export function holdersOf(locks: string, inode: number): number[] {
  const pids = new Set<number>();
  for (const line of locks.split("\n")) {
    const [, pid, ino] = /^\d+: POSIX +\S+ +\S+ +(-?\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line) ??
      [];
    if (ino !== undefined && Number(ino) === inode) pids.add(Number(pid));
  }
  return [...pids].sort((a, b) => a - b);
}
