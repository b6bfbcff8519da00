/**
 * From what should be to what is: the smallest list of operations, in an order that never leaves a hole.
 *
 * @module
 */
import type { Kind, Verb } from "./kind.ts";
import type { Table, Tables } from "./tables.ts";
import type { Touched, Wishes } from "./wishes.ts";

/** One message to the kernel. */
export interface Operation<Entry = unknown> {
  readonly verb: Verb;
  readonly kind: Kind<Entry>;
  readonly value: Entry;
}

/**
 * Compares and plans. What is written is written in the order of the kinds' ranks, so that a route comes after all that it needs, and
 * before anything is deleted; what is deleted goes the other way.
 *
 * @param kinds in the order of their ranks.
 * @param touched Look at these keys only; absent: at everything, leftovers that cannot be right included.
 */
export function plan(
  wishes: Wishes,
  actual: Tables,
  kinds: readonly Kind[],
  touched?: Touched,
): Operation[] {
  const writes: Operation[] = [];
  const deletions: Operation[][] = [];
  /** Numbers that are given out here, by kind and key. */
  const given = new Map<Kind, Map<string, number>>();
  for (const kind of kinds) {
    const table = actual.of(kind);
    const wanted = wishes.of(kind);
    const gone: Operation[] = [];
    deletions.unshift(gone);
    const free = kind.numbers && new NumberSource(kind.numbers.first, table.numbers);
    if (touched === undefined) chooseAmongExtra(kind, table, wishes, actual);
    for (const key of touched?.of(kind) ?? wanted.keys()) {
      const wish = wanted.get(key)?.value;
      const present = table.entries.get(key);
      if (wish === undefined) {
        if (present !== undefined) gone.push({ verb: "delete", kind, value: present });
        continue;
      }
      const carrier = carrierNumber(kind, wish, wishes, actual, given);
      if (present !== undefined && kind.same(wish, present, carrier)) continue;
      let value: unknown = wish;
      if (kind.numbers !== undefined) {
        const number = present === undefined ? free!.next() : kind.numbers.of(present);
        value = kind.numbers.assign(wish, number);
        if (present === undefined) note(given, kind, key, number);
      } else if (carrier !== undefined) value = kind.carrier!.assign(wish, carrier);
      const verb = present !== undefined || kind.overwrites ? "replace" : "add";
      writes.push({ verb, kind, value });
    }
    if (touched !== undefined) continue;
    for (const [key, value] of table.entries) {
      if (!wanted.has(key)) gone.push({ verb: "delete", kind, value });
    }
    for (const value of table.extra) gone.push({ verb: "delete", kind, value });
  }
  return writes.concat(...deletions);
}

/** Of several entries with one key the one that is right stays. */
function chooseAmongExtra(kind: Kind, table: Table, wishes: Wishes, actual: Tables): void {
  table.extra.forEach((entry, at) => {
    const key = kind.key(entry);
    const wish = key === undefined ? undefined : wishes.of(kind).get(key)?.value;
    const present = key === undefined ? undefined : table.entries.get(key);
    if (wish === undefined || present === undefined) return;
    const carrier = carrierNumber(kind, wish, wishes, actual, NOTHING_GIVEN);
    if (kind.same(wish, present, carrier) || !kind.same(wish, entry, carrier)) return;
    table.entries.set(key!, entry);
    table.extra[at] = present;
    if (kind.numbers !== undefined) {
      table.numbers.set(kind.numbers.of(entry), key);
      table.numbers.set(kind.numbers.of(present), undefined);
    }
  });
}

const NOTHING_GIVEN: ReadonlyMap<Kind, ReadonlyMap<string, number>> = new Map();

/**
 * The number of what carries an entry, where something does that is wanted, too.
 *
 * @param given Numbers of carriers that are still to be written.
 */
export function carrierNumber(
  kind: Kind,
  wanted: unknown,
  wishes: Wishes,
  actual: Tables,
  given: ReadonlyMap<Kind, ReadonlyMap<string, number>> = NOTHING_GIVEN,
): number | undefined {
  const { carrier } = kind;
  const key = carrier?.key(wanted);
  if (carrier === undefined || key === undefined || !wishes.of(carrier.kind).has(key)) {
    return undefined;
  }
  const present = actual.of(carrier.kind).entries.get(key);
  return present !== undefined
    ? carrier.kind.numbers!.of(present)
    : given.get(carrier.kind)?.get(key);
}

function note(
  given: Map<Kind, Map<string, number>>,
  kind: Kind,
  key: string,
  number: number,
): void {
  let numbers = given.get(kind);
  if (numbers === undefined) given.set(kind, numbers = new Map());
  numbers.set(key, number);
}

/** Gives out numbers that nobody has, lowest first. */
class NumberSource {
  #next: number;
  readonly #taken: ReadonlyMap<number, unknown>;
  constructor(first: number, taken: ReadonlyMap<number, unknown>) {
    this.#next = first;
    this.#taken = taken;
  }
  next(): number {
    while (this.#taken.has(this.#next)) this.#next++;
    return this.#next++;
  }
}

/** What the tables hold after an operation succeeded. */
export function advance(tables: Tables, { verb, kind, value }: Operation): void {
  const table = tables.of(kind);
  const key = kind.key(value);
  const number = kind.numbers?.of(value);
  if (verb !== "delete") {
    if (key !== undefined) table.entries.set(key, value);
    if (number !== undefined) table.numbers.set(number, key);
    return;
  }
  const held = number === undefined ? key : table.numbers.get(number) ?? key;
  if (held !== undefined && table.entries.get(held) === value) table.entries.delete(held);
  if (number !== undefined) table.numbers.delete(number);
}
