/**
 * The shape of a document of services: which keys there are, and what is wrong with one that has others or other values. Whether the
 * values make sense together, the rules of services say.
 *
 * @module
 */
import * as v from "valibot";
import { parseSpan } from "../../base/span.ts";
import { parseCheck } from "../check_text.ts";
import { type DestinationRequest, parseDestination } from "../destination.ts";
import type { Protocol, Scheduler, SchedulerFlag, Service } from "../service.ts";
import type { Field } from "../service_error.ts";

/** Something wrong at a place of the document. */
export interface Fault {
  readonly path: Field;
  readonly message: string;
}

/** What is wrong with the document; of several things the first one counts. */
export class Misplaced extends Error {
  readonly faults: readonly Fault[];
  constructor(...faults: readonly Fault[]) {
    super(faults[0]?.message);
    this.faults = faults;
  }
}

/** A value as a message shows it. An alias of YAML may lead into what it stands in. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "something that holds itself";
  }
}

/** The message that a value is not what it should be. */
const isNot = (what: string) => ({ input }: { readonly input: unknown }) =>
  `${shown(input)} is ${what}`;

/** Understands a value by a function that throws a SyntaxError for what it cannot. */
function understood<In, Out>(parse: (value: In) => Out) {
  return v.rawTransform<In, Out>(({ dataset, addIssue, NEVER }) => {
    try {
      return parse(dataset.value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      addIssue({ message: error.message });
      return NEVER;
    }
  });
}

const text = v.string(isNot("not a text"));
/** A text of which the rules of services know some; they are asked later. */
const word = <T extends string>() =>
  text as v.GenericSchema<unknown, string> as v.GenericSchema<unknown, T>;
const whole = isNot("not a whole number");
const number = v.pipe(v.number(whole), v.integer(whole));
const flag = v.boolean(isNot("neither true nor false"));
const listOf = <T>(item: v.GenericSchema<unknown, T>) => v.array(item, isNot("not a list"));

const SPAN = 'not a span of time: give "5m", "500ms" or seconds';
const spanText = v.union([v.string(), v.number()], isNot(SPAN));

function milliseconds(value: string | number): number {
  const found = parseSpan(String(value));
  if (found === undefined) throw new SyntaxError(isNot(SPAN)({ input: value }));
  return found;
}

/** Milliseconds of `5m`, or of a number of seconds. */
const span = v.pipe(spanText, understood(milliseconds));

const seconds = v.pipe(
  spanText,
  understood((value) => {
    const found = milliseconds(value);
    if (found % 1000 === 0) return found / 1000;
    throw new SyntaxError(`${shown(value)} is not a whole number of seconds`);
  }),
);

/** What is read of a mapping. */
type Read<T extends v.ObjectEntries> = { [Key in keyof T]?: v.InferOutput<T[Key]> };

/** A mapping whose keys are known, each of which may be absent. */
function record<T extends v.ObjectEntries>(
  entries: T,
  what: string,
): v.GenericSchema<unknown, Read<T>> {
  const optional: v.ObjectEntries = Object.create(null); // "constructor" is no key that anybody knows.
  for (const [key, schema] of Object.entries(entries)) optional[key] = v.exactOptional(schema);
  const keys = Object.keys(entries).join(", ");
  const mapping = v.strictObject(
    optional,
    ({ path }) => `${what} has no "${path?.at(-1)?.key}": give ${keys}`,
  ) as v.GenericSchema<unknown, unknown> as v.GenericSchema<unknown, Read<T>>;
  const none = v.never(isNot(`not ${what}: it has no "name: value" lines`));
  return v.lazy((value) =>
    typeof value === "object" && value !== null && !Array.isArray(value) ? mapping : none
  );
}

const destinationText = v.pipe(text, understood(parseDestination));
const destinationRecord = v.pipe(
  record(
    { address: text, port: number, weight: number, upper: number, lower: number },
    "a real server",
  ),
  v.check(({ address }) => address !== undefined, "the real server has no address"),
  v.transform((found) => found as DestinationRequest),
);
const destination: v.GenericSchema<unknown, DestinationRequest> = v.lazy((value) =>
  typeof value === "string" ? destinationText : destinationRecord
);

const flagList = listOf(v.pipe(text, v.trim()));
const flagText = v.pipe(text, v.transform((value) => value.split(",").map((one) => one.trim())));
const flags = v.lazy((value) => typeof value === "string" ? flagText : flagList) as v.GenericSchema<
  unknown,
  string[]
> as v.GenericSchema<unknown, SchedulerFlag[]>;

/** A service. */
export const SERVICE = record({
  name: text,
  vip: text,
  port: number,
  protocol: word<Protocol>(),
  scheduler: word<Scheduler>(),
  "scheduler-flags": flags,
  forward: word<Service["forward"]>(),
  persistent: seconds,
  "persistence-netmask": number,
  "one-packet": flag,
  masquerade: word<Service["masquerade"]>(),
  check: v.pipe(text, understood(parseCheck)),
  "check-interval": span,
  "check-timeout": span,
  rise: number,
  fall: number,
  "on-empty": word<Service["onEmpty"]>(),
  "drain-timeout": seconds,
  to: listOf(destination),
}, "a service");

/** A document, its services not yet looked into. */
export const DOCUMENT = record({
  services: listOf(v.unknown()),
  timeouts: record({ tcp: seconds, tcpfin: seconds, udp: seconds }, "timeouts"),
}, "a document of services");

/**
 * Passes on what a value of the shape stands for.
 *
 * @param at Where in the document the value is.
 * @throws {Misplaced} if it is of another shape.
 */
export function shaped<T>(schema: v.GenericSchema<unknown, T>, value: unknown, at: Field): T {
  const { success, output, issues } = v.safeParse(schema, value);
  if (success) return output;
  throw new Misplaced(...issues.map(({ path = [], message }) => ({
    path: [...at, ...path.map(({ key }) => key as string | number)],
    message,
  })));
}
