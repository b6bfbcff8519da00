/**
 * What a fuzzer is, and how samples are hurt.
 *
 * @module
 */
import fc from "fast-check";

/** Something that reads what comes from outside, and what has to hold whatever comes. */
export interface FuzzTarget {
  readonly name: string;
  /** What is tried, in a few words. */
  readonly about: string;
  /** Runs in the test suite: as many as take about a second. */
  readonly runs: number;
  /** Opens what the property needs, which is disposed of at the end. */
  open(): Promise<FuzzSession>;
}

/** An opened target. */
export interface FuzzSession extends AsyncDisposable {
  readonly property: fc.IRawProperty<unknown>;
}

/** A target whose property needs nothing opened. */
export function plainTarget(
  name: string,
  about: string,
  runs: number,
  property: fc.IRawProperty<unknown>,
): FuzzTarget {
  return {
    name,
    about,
    runs,
    open: () => Promise.resolve({ property, async [Symbol.asyncDispose]() {} }),
  };
}

/** One change to a text or to bytes; places are fractions of its length. */
type Edit<T> =
  | { readonly kind: "cut"; readonly at: number; readonly share: number }
  | { readonly kind: "again"; readonly at: number; readonly share: number; readonly times: number }
  | { readonly kind: "put"; readonly at: number; readonly what: T };

const place = fc.double({ min: 0, max: 1, noNaN: true });

function edits<T>(what: fc.Arbitrary<T>): fc.Arbitrary<Edit<T>[]> {
  const cut: fc.Arbitrary<Edit<T>> = fc.record({
    kind: fc.constant("cut" as const),
    at: place,
    share: place,
  });
  const again: fc.Arbitrary<Edit<T>> = fc.record({
    kind: fc.constant("again" as const),
    at: place,
    share: place,
    times: fc.integer({ min: 1, max: 20 }),
  });
  const put: fc.Arbitrary<Edit<T>> = fc.record({
    kind: fc.constant("put" as const),
    at: place,
    what,
  });
  return fc.array(fc.oneof(cut, again, put), { maxLength: 5 });
}

/** Words that readers have stumbled over elsewhere. */
const NASTY = [
  "\0",
  "\x1b[2J",
  "\u202e",
  "\ud800",
  "__proto__",
  "constructor",
  "-1",
  "1e309",
  "NaN",
  "99999999999999999999",
  "0x10",
  "010",
  "::ffff:10.0.0.1",
  "fe80::1%eth0",
  "0.0.0.0/0",
  "255.255.255.255",
  "%00",
  "'; drop table knet_leases; --",
  "{{",
  "&a [*a,*a]",
  "\r\n\r\n",
];

/** Longest text that is made: what is hurt may be repeated. */
const LONGEST = 20_000;

/** Text near what is expected, and far from it. */
export function hurtText(samples: readonly string[]): fc.Arbitrary<string> {
  const scrap = fc.oneof(
    fc.constantFrom(...NASTY),
    fc.string({ maxLength: 12 }),
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.constantFrom(...samples),
  );
  return fc.tuple(fc.constantFrom(...samples), edits(scrap)).map(([sample, changes]) => {
    let text = sample;
    for (const change of changes) {
      const at = Math.floor(change.at * text.length);
      if (change.kind === "put") text = text.slice(0, at) + change.what + text.slice(at);
      else {
        const end = at + Math.ceil(change.share * change.share * (text.length - at));
        const part = change.kind === "cut" ? "" : text.slice(at, end).repeat(change.times);
        text = text.slice(0, at) + part + text.slice(end);
      }
      text = text.slice(0, LONGEST);
    }
    return text;
  });
}

/** The same for bytes. */
export function hurtBytes(
  samples: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const scrap = fc.uint8Array({ minLength: 1, maxLength: 8 });
  const flip = fc.tuple(place, fc.nat(255));
  return fc.tuple(samples, edits(scrap), fc.array(flip, { maxLength: 4 })).map(
    ([sample, changes, flips]) => {
      let bytes = [...sample];
      for (const change of changes) {
        const at = Math.floor(change.at * bytes.length);
        const before = bytes.slice(0, at);
        if (change.kind === "put") bytes = [...before, ...change.what, ...bytes.slice(at)];
        else {
          const end = at + Math.ceil(change.share * change.share * (bytes.length - at));
          const times = change.kind === "again" ? change.times : 0;
          const part: number[] = Array(times).fill(bytes.slice(at, end)).flat();
          bytes = [...before, ...part, ...bytes.slice(end)];
        }
        bytes = bytes.slice(0, LONGEST);
      }
      for (const [at, value] of flips) {
        if (bytes.length > 0) {
          bytes[Math.min(Math.floor(at * bytes.length), bytes.length - 1)] = value;
        }
      }
      return new Uint8Array(bytes);
    },
  );
}

/** Runs a reader: it may refuse by an error of these kinds, and by no other. */
export async function refusesOnlyBy(
  kinds: readonly (abstract new (...args: never[]) => Error)[],
  read: () => unknown,
): Promise<void> {
  try {
    await read();
  } catch (error) {
    if (!kinds.some((kind) => error instanceof kind)) throw error;
  }
}
