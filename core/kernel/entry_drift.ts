/**
 * Which of the kernel's notifications contradict what knet believes, and whether what it does not tell of is as it should be.
 *
 * @module
 */
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import type { KernelSockets, Kind, Scope } from "./kind.ts";
import { readTable, type Table, type Tables } from "./tables.ts";

/**
 * Whether an entry is not as knet believes by what a notification tells. Pure. Our own changes are the caller's to pass over.
 */
export function contradicts(
  kinds: readonly Kind[],
  event: RtnlEvent,
  tables: Tables,
  scope: Scope,
): boolean {
  return kinds.some((kind) => {
    const told = kind.told?.(event);
    return told !== undefined && contradictsOne(kind, told, event.deleted, tables, scope);
  });
}

function contradictsOne(
  kind: Kind,
  told: unknown,
  deleted: boolean,
  tables: Tables,
  scope: Scope,
): boolean {
  const table = tables.of(kind);
  const key = kind.key(told);
  const ours = kind.ours(told, scope);
  if (kind.numbers !== undefined) {
    // Whatever has become of it, and whoever says that it is theirs: it has the number of one of ours.
    const number = kind.numbers.of(told);
    const known = table.numbers.get(number);
    if (known !== undefined) return deleted || !same(kind, table.entries.get(known), told);
    if (deleted) return false;
  }
  const known = key === undefined ? undefined : table.entries.get(key);
  // A foreign entry in place of ours: the kernel says nothing of what it took the place of.
  if (!ours) return !deleted && known !== undefined && kind.numbers === undefined;
  if (deleted) return known !== undefined && kind.gone?.(known, told) !== false;
  if (known === undefined) return kind.fleeting?.(told) !== true;
  return !same(kind, known, told);
}

/** Compares two entries that the kernel holds. */
function same(kind: Kind, known: unknown, told: unknown): boolean {
  return known !== undefined && kind.same(known, told, kind.carrier?.of(known));
}

/**
 * Looks at the kinds that the kernel does not tell of.
 *
 * @returns names of those that are not as knet believes.
 * @throws {NetlinkError}
 */
export function pollDrift(
  kinds: readonly Kind[],
  sockets: KernelSockets,
  tables: Tables,
  scope: Scope,
): string[] {
  return kinds
    .filter((kind) =>
      kind.told === undefined &&
      !sameTables(kind, tables.of(kind), readTable(kind, sockets, scope, tables))
    )
    .map((kind) => kind.name);
}

function sameTables(kind: Kind, known: Table, now: Table): boolean {
  if (now.extra.length > 0 || now.entries.size !== known.entries.size) return false;
  for (const [key, entry] of known.entries) {
    const present = now.entries.get(key);
    if (present === undefined || !same(kind, entry, present)) return false;
  }
  return true;
}
