/**
 * Which hosts serve the cluster's own store, by who is a member. Pure.
 *
 * @module
 */
import { nameOf } from "../store/dqlite/identity.ts";
import type { Member } from "../store/dqlite/wire.ts";
import type { Members } from "../store/remote/values.ts";

/** Whether a host holds a copy: it votes or stands by. */
export function holdsCopy(members: readonly Member[], nodeId: string): boolean {
  return members.some(({ address, role }) => nameOf(address) === nodeId && role !== "spare");
}

/**
 * Hosts to ask, the best first: the one that leads, whose changes are told at once; this host; others that vote, then those that stand
 * by; at last those by which it joined.
 *
 * @param own This host, if it serves the store itself.
 * @param seeds Hosts by which it joined.
 */
export function serversOf(
  { members, leader }: Members,
  own: string | undefined,
  seeds: readonly string[],
): string[] {
  const of = (wanted: string) =>
    members.filter(({ role }) => role === wanted).map(({ address }) => nameOf(address));
  const hosts = [
    ...leader === undefined ? [] : [nameOf(leader)],
    ...own === undefined ? [] : [own],
    ...of("voter"),
    ...of("standby"),
    ...seeds,
  ];
  return [...new Set(hosts)];
}
