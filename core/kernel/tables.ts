/**
 * knet's own entries in the kernel's tables, as they were read and as they have become since.
 *
 * @module
 */
import { KernelSockets, type Kind, type Scope } from "./kind.ts";

/** Entries of one kind. */
export interface Table<Entry = unknown> {
  /** By key. */
  readonly entries: Map<string, Entry>;
  /** Entries of ours that cannot be right, such as a second route to the same subnet. */
  readonly extra: Entry[];
  /** Numbers that are taken, where the kind has them, with the keys of those that are ours. */
  readonly numbers: Map<number, string | undefined>;
}

function emptyTable<Entry>(): Table<Entry> {
  return { entries: new Map(), extra: [], numbers: new Map() };
}

/** What is in the kernel of ours. */
export class Tables {
  readonly #tables = new Map<Kind, Table>();

  /** The table of one kind. */
  of<Entry>(kind: Kind<Entry>): Table<Entry> {
    let table = this.#tables.get(kind as Kind);
    if (table === undefined) this.#tables.set(kind as Kind, table = emptyTable());
    return table as Table<Entry>;
  }

  /** Replaces the table of one kind. */
  set<Entry>(kind: Kind<Entry>, table: Table<Entry>): void {
    this.#tables.set(kind as Kind, table as Table);
  }
}

/**
 * Sorts a dump. Pure.
 *
 * @param before The table as it was: an entry that got another key, or another owner, is known by its number.
 */
export function sortEntries<Entry>(
  kind: Kind<Entry>,
  dump: Iterable<Entry>,
  scope: Scope,
  before?: Table<Entry>,
): Table<Entry> {
  const table = emptyTable<Entry>();
  const { numbers } = kind;
  const changed: [string, Entry][] = [];
  for (const entry of dump) {
    const number = numbers?.of(entry);
    const ours = kind.ours(entry, scope);
    const key = ours ? kind.key(entry) : undefined;
    const known = number === undefined ? undefined : before?.numbers.get(number);
    if (known !== undefined && known !== key) changed.push([known, entry]);
    else if (key !== undefined && !table.entries.has(key)) table.entries.set(key, entry);
    else if (ours) table.extra.push(entry);
    if (number !== undefined && number >= numbers!.first) {
      table.numbers.set(number, table.entries.get(key ?? "") === entry ? key : undefined);
    }
  }
  for (const [key, entry] of changed) {
    if (table.entries.has(key)) {
      if (kind.ours(entry, scope)) table.extra.push(entry);
      continue;
    }
    table.entries.set(key, entry);
    table.numbers.set(numbers!.of(entry), key);
  }
  return table;
}

/**
 * Reads what is ours from the kernel.
 *
 * @param before What was known until now.
 * @throws {NetlinkError}
 */
export function readTables(
  kinds: readonly Kind[],
  sockets: KernelSockets,
  scope: Scope,
  before?: Tables,
): Tables {
  const tables = new Tables();
  for (const kind of kinds) tables.set(kind, readTable(kind, sockets, scope, before));
  return tables;
}

/**
 * Reads one kind's table.
 *
 * @throws {NetlinkError}
 */
export function readTable(
  kind: Kind,
  sockets: KernelSockets,
  scope: Scope,
  before?: Tables,
): Table {
  return sortEntries(kind, kind.list(sockets.of(kind), scope), scope, before?.of(kind));
}
