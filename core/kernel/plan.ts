/**
 * From what should be to what is: the smallest list of operations, in an order that never leaves a hole.
 *
 * @module
 */
import type { Kind, Verb, Wish } from "./kind.ts";
import type { Table, Tables } from "./tables.ts";
import type { Touched, Wishes } from "./wishes.ts";

/** One message to the kernel. */
export interface Operation<Entry = unknown> {
  readonly verb: Verb;
  readonly kind: Kind<Entry>;
  readonly value: Entry;
}

/** What a plan looks at, and what it leaves. */
export interface PlanOptions {
  /** Look at these keys only; absent: at everything, leftovers that cannot be right included. */
  readonly touched?: Touched | undefined;
  /** Leave entries that nobody wishes for: what is wished for is not known to be all. Those that contradict a wish go all the same. */
  readonly keep?: boolean;
}

/**
 * Compares and plans. What is written is written in the order of the kinds' ranks, so that a route comes after all that it needs, and
 * before anything is deleted; what is deleted goes the other way.
 *
 * @param kinds in the order of their ranks.
 */
export function plan(
  wishes: Wishes,
  actual: Tables,
  kinds: readonly Kind[],
  { touched, keep = false }: PlanOptions = {},
): Operation[] {
  const writes: Operation[] = [];
  const deletions: Operation[][] = [];
  /** Numbers that are given out here, by kind and key. */
  const given: Given = new Map();
  for (const kind of kinds) {
    const table = actual.of(kind);
    const wanted = wishes.of(kind);
    const { numbers, overwrites } = kind;
    const gone: Operation[] = [];
    deletions.unshift(gone);
    const free = numbers && new NumberSource(numbers.first, table.numbers);
    const numberOf = carrierNumbers(kind, wishes, actual, given);
    if (table.extra.length > 0 && touched === undefined) {
      chooseAmongExtra(kind, table, wanted, numberOf);
    }
    const fulfil = (wish: unknown, key: string) => {
      const present = table.entries.get(key);
      const carrier = numberOf?.(wish);
      if (present !== undefined && kind.same(wish, present, carrier)) return;
      let value = wish;
      if (numbers !== undefined) {
        const number = present === undefined ? free!.next() : numbers.of(present);
        value = numbers.assign(wish, number);
        if (present === undefined) note(given, kind, key, number);
      } else if (carrier !== undefined) value = kind.carrier!.assign(wish, carrier);
      const verb = present !== undefined || overwrites ? "replace" : "add";
      writes.push({ verb, kind, value });
    };
    if (touched !== undefined) {
      for (const key of touched.of(kind)) {
        const wish = wanted.get(key);
        const present = table.entries.get(key);
        if (wish !== undefined) fulfil(wish.value, key);
        else if (present !== undefined) gone.push({ verb: "delete", kind, value: present });
      }
      continue;
    }
    wanted.forEach(({ value }, key) => fulfil(value, key));
    const wished = (key: string | undefined) => key !== undefined && wanted.has(key);
    table.entries.forEach((value, key) => {
      if (!keep && !wished(key)) gone.push({ verb: "delete", kind, value });
    });
    for (const value of table.extra) {
      if (!keep || wished(kind.key(value))) gone.push({ verb: "delete", kind, value });
    }
  }
  return writes.concat(...deletions);
}

type Given = Map<Kind, Map<string, number>>;

/** Of several entries with one key the one that is right stays. */
function chooseAmongExtra(
  kind: Kind,
  table: Table,
  wanted: ReadonlyMap<string, Wish>,
  numberOf: NumberOf | undefined,
): void {
  table.extra.forEach((entry, at) => {
    const key = kind.key(entry);
    const wish = key === undefined ? undefined : wanted.get(key)?.value;
    const present = key === undefined ? undefined : table.entries.get(key);
    if (wish === undefined || present === undefined) return;
    const carrier = numberOf?.(wish);
    if (kind.same(wish, present, carrier) || !kind.same(wish, entry, carrier)) return;
    table.entries.set(key!, entry);
    table.extra[at] = present;
    if (kind.numbers !== undefined) {
      table.numbers.set(kind.numbers.of(entry), key);
      table.numbers.set(kind.numbers.of(present), undefined);
    }
  });
}

/** The number of what carries an entry; undefined for one that is not carried. */
type NumberOf = (wanted: unknown) => number | undefined;

/**
 * Finds the numbers of what carries a kind's entries, where that is wanted, too.
 *
 * @param given Numbers of carriers that are still to be written.
 * @returns undefined for a kind that nothing carries.
 */
export function carrierNumbers(
  { carrier }: Kind,
  wishes: Wishes,
  actual: Tables,
  given?: Given,
): NumberOf | undefined {
  if (carrier === undefined) return undefined;
  const { numbers } = carrier.kind;
  const carriers = wishes.of(carrier.kind);
  const present = actual.of(carrier.kind).entries;
  const fresh = given?.get(carrier.kind);
  return (wanted) => {
    const key = carrier.key(wanted);
    if (key === undefined || !carriers.has(key)) return undefined;
    const held = present.get(key);
    return held !== undefined ? numbers!.of(held) : fresh?.get(key);
  };
}

function note(
  given: Given,
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
  const { numbers } = kind;
  const key = kind.key(value);
  if (verb !== "delete") {
    if (key !== undefined) table.entries.set(key, value);
    if (numbers !== undefined) table.numbers.set(numbers.of(value), key);
    return;
  }
  const number = numbers?.of(value);
  const held = number === undefined ? key : table.numbers.get(number) ?? key;
  if (held !== undefined && table.entries.get(held) === value) table.entries.delete(held);
  if (number !== undefined) table.numbers.delete(number);
}
