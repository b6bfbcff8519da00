/**
 * Who holds the only copy of the cluster's own store does not leave while others live by it: hosts that have joined a moment ago get
 * their copies within seconds.
 *
 * @module
 */
import { monotonicClock, sleep } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { plural } from "../base/plural.ts";
import { askAgent } from "../inspect/ask_agent.ts";
import { readStatusReport } from "../inspect/report_shape.ts";
import type { PeerStatus, StatusReport } from "../inspect/status.ts";
import type { CopyInfo } from "../store/admin.ts";

/** Milliseconds that another host has to get a vote. */
const PATIENCE = 30_000;
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
