/**
 * Who holds the only copy of the cluster's own store does not leave while others live by it: hosts that have joined a moment ago get
 * their copies within seconds. Nor does who votes, where those that are left could decide nothing.
 *
 * @module
 */
import { monotonicClock, sleep } from "../base/clock.ts";
import { KnetError, StoreAwayError } from "../base/error.ts";
import { plural } from "../base/plural.ts";
import { askAgent } from "../inspect/ask_agent.ts";
import { readStatusReport } from "../inspect/report_shape.ts";
import type { PeerStatus, StatusReport } from "../inspect/status.ts";
import type { CopyInfo } from "../store/admin.ts";

/** Milliseconds that another host has to get a vote. */
const PATIENCE = 30_000;
/** Milliseconds that a host has to say how far its copy is. */
const SLOW = 5000;
/** Milliseconds between looks. */
const PAUSE = 250;

/** What of a status tells who would be left without a store. */
export interface StoreHolders {
  readonly node?: Pick<NonNullable<StatusReport["node"]>, "id">;
  readonly store: { readonly copies?: readonly Pick<CopyInfo, "node" | "role">[] };
  readonly peers: readonly Pick<PeerStatus, "expired">[];
}

/** Living hosts that would have no store if this one left: all of them if it alone votes, else none. Pure. */
export function leftWithoutStore({ node, store: { copies }, peers }: StoreHolders): number {
  const voters = copies?.filter(({ role }) => role === "voter") ?? [];
  if (voters.length !== 1 || voters[0]!.node !== node?.id) return 0;
  return peers.filter(({ expired }) => !expired).length;
}

/**
 * Hosts that vote and do not answer, if those that vote could decide nothing without this one; none if they could. Pure.
 *
 * @param copies As `knet store info` has them: who does not say how far its copy is, does not answer.
 */
export function missedWithout(
  nodeId: string,
  copies: readonly Pick<CopyInfo, "node" | "name" | "role" | "index">[],
): string[] {
  const voters = copies.filter(({ role }) => role === "voter");
  const others = voters.filter(({ node }) => node !== nodeId);
  const silent = others.filter(({ index }) => index === undefined).map(({ name }) => name);
  const decide = 2 * (others.length - silent.length) > others.length;
  return others.length === voters.length || decide ? [] : silent;
}

/**
 * Refuses to take a vote away whose going would stop all writes.
 *
 * @param info What the store says of itself. Where it does not answer, nothing is refused: nothing is written either.
 * @throws {KnetError} exit code 4.
 */
export async function refuseStopping(
  nodeId: string,
  info: () => Promise<{ readonly copies?: readonly CopyInfo[] }>,
): Promise<void> {
  const look = async () => {
    try {
      return missedWithout(nodeId, (await info()).copies ?? []);
    } catch (error) {
      if (error instanceof StoreAwayError) return [];
      throw error;
    }
  };
  let missed = await look();
  // Who is only slow is not missed.
  for (const until = monotonicClock() + SLOW; missed.length > 0 && monotonicClock() < until;) {
    await sleep(PAUSE);
    missed = await look();
  }
  if (missed.length === 0) return;
  const names = missed.join(", ");
  throw new KnetError(
    `Cannot leave: this host votes, ${names} of those that vote ${
      missed.length === 1 ? "does" : "do"
    } not answer, and the others could write nothing without both`,
    {
      exitCode: 4,
      remedy: `Bring ${names} back; or take it out first, if it is lost: knet leave --node ${
        missed[0]
      } --force. Where a host stands by, it has that vote after a minute (knet store info). With --force this host leaves all the same`,
    },
  );
}

/**
 * Waits until this host's copy is not the only one.
 *
 * @param look How it is now; undefined: nobody can tell.
 * @throws {KnetError} exit code 4 if nobody else gets a vote.
 */
export async function awaitHeir(
  look: () => Promise<StoreHolders | undefined>,
  patience = PATIENCE,
): Promise<void> {
  for (const until = monotonicClock() + patience;;) {
    const holders = await look();
    const others = holders === undefined ? 0 : leftWithoutStore(holders);
    if (others === 0) return;
    if (monotonicClock() > until) {
      throw new KnetError(
        `Cannot leave: this host has the only copy of the store, and ${
          plural(others, "other host lives", "other hosts live")
        } by it`,
        {
          exitCode: 4,
          remedy:
            "Wait until knet store info names another host that votes, or let the others leave first; with --force they are left without a store",
        },
      );
    }
    await sleep(PAUSE);
  }
}

/** What this host's agent says; undefined where none runs. */
export async function holdersByAgent(stateDir: string): Promise<StoreHolders | undefined> {
  const body = await askAgent(stateDir, "/status");
  if (body === undefined) return undefined;
  const report: StatusReport = readStatusReport(body);
  return report;
}
