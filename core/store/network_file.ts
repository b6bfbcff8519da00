/**
 * Whether a file lies on another host, whose death would hang whoever asks the file system anything. So nothing is asked: only the
 * list of mounts, and symbolic links as long as the way to them is local.
 *
 * @module
 */
import { dirname, join, resolve } from "node:path";
import { type Mount, readMounts } from "../../ffi/mounts.ts";

/** Types of file systems that another host or another process serves; of FUSE there are many, `fuse.sshfs`. */
const SERVED = new Set([
  "9p",
  "afs",
  "autofs",
  "beegfs",
  "ceph",
  "cifs",
  "coda",
  "fuse",
  "fuseblk",
  "gfs",
  "gfs2",
  "gpfs",
  "lustre",
  "ncpfs",
  "nfs",
  "nfs4",
  "ocfs2",
  "orangefs",
  "smb3",
  "smbfs",
  "virtiofs",
]);

/** As the kernel: more links on one way are taken for a circle. */
const MOST_LINKS = 40;

/** What a path lies on: the mount with the longest path above it, of equal ones the last, which hides the others. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const inside = mount.path === "/" || path === mount.path || path.startsWith(`${mount.path}/`);
    if (inside && mount.path.length >= (found?.path.length ?? 0)) found = mount;
  }
  return found;
}

function isServed({ type }: Mount): boolean {
  return SERVED.has(type) || type.startsWith("fuse.");
}

function linkTarget(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** Whether a file, that need not be there, lies on a file system that is served by somebody else, or could: if in doubt, true. */
export function liesOnNetwork(
  path: string,
  mounts: () => readonly Mount[] = readMounts,
  target: (path: string) => string | undefined = linkTarget,
): boolean {
  let list: readonly Mount[];
  try {
    list = mounts();
  } catch {
    return true;
  }
  let done = "/";
  let rest = resolve(path).split("/").filter(Boolean);
  for (let links = 0; links <= MOST_LINKS;) {
    const mount = mountOf(done, list);
    if (mount === undefined || isServed(mount)) return true;
    const [next, ...others] = rest;
    if (next === undefined) return false;
    const step = join(done, next);
    const below = mountOf(step, list);
    if (below === undefined || isServed(below)) return true;
    const link = target(step);
    if (link === undefined) {
      done = step;
      rest = others;
    } else {
      links++;
      rest = [...resolve(dirname(step), link).split("/").filter(Boolean), ...others];
      done = "/";
    }
  }
  return true;
}
