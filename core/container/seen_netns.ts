/**
 * What a plugin, and so its runtime, sees at the path of a network namespace: the agent may see another one there.
 *
 * @module
 */
import { SystemError } from "../../ffi/libc.ts";
import { netnsId, openNetns } from "../../ffi/netns.ts";

/**
 * Identifies the namespace at a path.
 *
 * @returns `device:inode`; undefined if none is there that can be opened: the agent says what is wrong with it.
 */
export function seenNetns(path: string): string | undefined {
  if (!path.includes("/")) return undefined;
  try {
    using namespace = openNetns(path);
    return netnsId(namespace.fd);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
