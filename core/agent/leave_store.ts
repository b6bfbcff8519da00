/**
 * Leaving the cluster's own store: the lease is given back, the copy is given up, and the host's certificate is good for nothing any more.
 *
 * @module
 */
import { monotonicClock, random, sleep } from "../base/clock.ts";
import { messageOf, StoreAwayError } from "../base/error.ts";
import { isExpired, isUntaken } from "../cluster/allocate.ts";
import type { Lease } from "../cluster/lease.ts";
import { dqliteDirectory } from "../store/location.ts";
import type { Store } from "../store/store.ts";
import { HostBook } from "./host_book.ts";
import { awaitHeir, refuseStopping } from "./last_copy.ts";

/** Milliseconds that this host's replica has to run, and somebody to lead. */
const PATIENCE = 10_000;
/** Milliseconds that one answer may take, and between tries. */
const [ANSWER, PAUSE] = [5000, 300];

/** What is left. */
export interface HeldStoreLeaving {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly force: boolean;
}

/** What became of the certificates of a host that left: whether they were revoked, or why not. */
export interface LeftCertificate {
  readonly nodeId: string;
  readonly revoked: boolean;
  readonly why?: string;
}

/** Revokes a host's certificates; where that is not to be done now, its leaving is not undone for it. */
export async function revoked(
  nodeId: string,
  act: () => Promise<void>,
): Promise<LeftCertificate> {
  try {
    await act();
    return { nodeId, revoked: true };
  } catch (error) {
    return { nodeId, revoked: false, why: messageOf(error) };
  }
}

/** Does something that may be done twice, again while nobody leads: this host may have led a moment ago. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const until = monotonicClock() + PATIENCE;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreAwayError) || monotonicClock() >= until) throw error;
      await sleep(PAUSE * (0.5 + random()));
    }
  }
}

/** Takes part in the cluster's own store once more, without an agent, to give the lease back and the copy up. */
export async function leaveHeldStore<T>(
  options: HeldStoreLeaving,
  { nodeId, peers }: { readonly nodeId: string; readonly peers: readonly Lease[] },
  release: (store: Store) => Promise<T>,
): Promise<{ readonly released: T; readonly certificate: LeftCertificate | undefined }> {
  const { openAgentsStore } = await import("./open_store.ts");
  const { remoteAdmin } = await import("../store/remote/remote_store.ts");
  const hosts = new HostBook(() => peers);
  const opened = await openAgentsStore({ ...options, nodeId, existing: true, hosts });
  let out = false;
  try {
    const { held, store } = opened;
    await held?.started(PATIENCE);
    if (held !== undefined && !options.force) {
      await refuseStopping(nodeId, async () => {
        await using admin = remoteAdmin(held.way, ANSWER);
        return await admin.info();
      });
      await awaitHeir(async () => {
        const { leases, now } = await store.listLeases();
        const others = leases.filter((lease) => lease.nodeId !== nodeId && !isUntaken(lease));
        return {
          node: { id: nodeId },
          store: { copies: held.copies },
          peers: others.map((lease) => ({ expired: isExpired(lease, now) })),
        };
      });
    }
    const released = await patiently(() => release(opened.store));
    const left = await held?.leave() ?? "last";
    // Not before: the way to the others ends with it.
    const certificate = left === "last" ? undefined : await revoked(nodeId, () => held!.retire());
    // Who is a member still may have a vote by now, and is needed until it is taken out.
    if (left === "member" && !certificate!.revoked && !options.force) {
      throw new StoreAwayError(
        `the hosts that hold the store did not take it out: ${certificate!.why}`,
      );
    }
    out = left !== "last";
    return { released, certificate };
  } finally {
    await opened[Symbol.asyncDispose]();
    if (out) Deno.removeSync(dqliteDirectory(options.storeUrl)!, { recursive: true });
  }
}
