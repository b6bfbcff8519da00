/**
 * Who is a member, and how far each copy is, as other hosts say.
 *
 * @module
 */
import { random } from "../base/clock.ts";
import type { ByteStream } from "../store/dqlite/stream.ts";
import { Link } from "../store/remote/link.ts";
import type { Members } from "../store/remote/values.ts";

/** How others are asked. */
export interface AskWay {
  readonly location: string;
  dial(host: string): Promise<ByteStream>;
}

/** Milliseconds that a host has for its answer. */
const PATIENCE = 3000;
/** Milliseconds that a host has to say how far its copy is. */
const MOMENT = 1500;
/** Hosts that are asked at once. */
const MOST = 3;
/** So many times one host is asked, the one that answered before, and then again some. */
const ROUND = 5;

/** What one host says. @throws {StoreAwayError} if it does not answer, or has no replica that runs. */
export async function membersBy({ location, dial }: AskWay, host: string): Promise<Members> {
  const link = new Link({ location, servers: () => [host], dial }, PATIENCE);
  try {
    return await link.ask("members", {});
  } finally {
    link.close();
  }
}

/**
 * How far the copies of hosts are, by node id; who does not say so in a moment is left out.
 *
 * @param own What is known already.
 */
export async function indexesBy(
  { location, dial }: AskWay,
  hosts: readonly string[],
  own: Readonly<Record<string, number | undefined>>,
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const note = (host: string, index: number | undefined) => {
    if (index !== undefined) found.set(host, index);
  };
  for (const [host, index] of Object.entries(own)) note(host, index);
  await Promise.allSettled(hosts.map(async (host) => {
    const link = new Link({ location, servers: () => [host], dial }, MOMENT);
    try {
      note(host, (await link.ask("position", {})).index);
    } finally {
      link.close();
    }
  }));
  return found;
}

/** The answer that is worth most: of the newest generation, of one that has a leader. Pure. */
export function bestAnswer(answers: readonly Members[]): Members {
  const worth = ({ generation = 0, leader, members }: Members) =>
    [generation, leader === undefined ? 0 : 1, members.length] as const;
  return answers.reduce((best, next) => {
    const [a, b] = [worth(best), worth(next)];
    const at = a.findIndex((value, n) => value !== b[n]);
    return at >= 0 && b[at]! > a[at]! ? next : best;
  }, { members: [] });
}

/**
 * A function that asks others: mostly the one that `others` is connected to, now and then some at once, since hosts that know nothing of a
 * recovery agree with each other.
 */
export function memberAsker(
  way: AskWay,
  others: Pick<Link, "ask">,
  hosts: () => readonly string[],
): () => Promise<Members> {
  let asked = 0;
  return async () => {
    const all = asked++ % ROUND === 0;
    const some = all
      ? hosts().map((host) => [random(), host] as const).sort(([a], [b]) => a - b).slice(0, MOST)
      : [];
    const answers = await Promise.allSettled([
      others.ask("members", {}),
      ...some.map(([, host]) => membersBy(way, host)),
    ]);
    return bestAnswer(answers.flatMap((one) => one.status === "fulfilled" ? [one.value] : []));
  };
}
