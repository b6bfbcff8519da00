/**
 * The end of a host's part in the cluster: it is no member any more, and its certificates are good for nothing.
 *
 * @module
 */
import { monotonicClock, random, sleep } from "../base/clock.ts";
import { Link, type RemoteWay } from "../store/remote/link.ts";

/** Milliseconds that those who stay have: one of them may just begin to lead. */
const PATIENCE = 10_000;
/** Milliseconds that one answer may take. */
const ANSWER = 3000;
/** Milliseconds between tries. */
const PAUSE = 300;

/**
 * Has a host taken out of the members, and its certificates revoked, by those who hold the store.
 *
 * @throws {KnetError} what they say; StoreAwayError if none answers.
 */
export async function retire(way: RemoteWay, nodeId: string, patience = PATIENCE): Promise<void> {
  const link = new Link(way, ANSWER);
  try {
    for (const until = monotonicClock() + patience;;) {
      try {
        await link.ask("retire", { nodeId });
        return;
      } catch (error) {
        if (monotonicClock() > until) throw error;
      }
      await sleep(PAUSE * (0.5 + random()));
    }
  } finally {
    link.close();
  }
}
