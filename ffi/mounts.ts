/**
 * What is mounted where, by the kernel's own list: asking a file would wait for its server.
 *
 * @module
 */
import { readSmallFile } from "./file.ts";

/** One mount. */
export interface Mount {
  /** Absolute path of its top. */
  readonly path: string;
  /** The file system's type, `ext4`. */
  readonly type: string;
}

/** Mounts of a mountinfo file (proc(5)), in the order in which they were made. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    // 36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw
    const [where = "", what = ""] = line.split(" - ");
    const path = where.split(" ")[4];
    const type = what.split(" ")[0];
    if (path === undefined || !type) return [];
    const plain = path.replace(
      /\\([0-7]{3})/g,
      (_, octal) => String.fromCharCode(parseInt(octal, 8)),
    );
    return [{ path: plain, type }];
  });
}

/**
 * Mounts that this process sees.
 *
 * @throws {SystemError} if the kernel's list cannot be read.
 */
export function readMounts(): Mount[] {
  return parseMounts(readSmallFile("/proc/self/mountinfo") ?? "");
}
