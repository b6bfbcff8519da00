/**
 * Which network namespace a runtime's plugin sees at a path: the agent may see another one there.
 *
 * @module
 */

/** `device:inode` of the namespace; undefined if there is none. */
export async function seenAt(netns: string): Promise<string | undefined> {
  // Only where containers come: it takes a moment to load.
  const { seenNetns } = await import("../core/container/seen_netns.ts");
  return seenNetns(netns);
}
