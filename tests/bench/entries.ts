/**
 * Programming peers, and reconciling them: knet against iproute2 and against the limit.
 *
 * @module
 */
import type { Lease } from "../../core/cluster/lease.ts";
import { exec } from "../support/exec.ts";
import { median, sleep } from "../support/wait.ts";
import { Field } from "./field.ts";
import { peerLease, peerLeases } from "./peers.ts";
import { buildLimit, iproute2Rival, knetRival, limitRival, type Rival } from "./entry_rivals.ts";

/** Milliseconds for one number of peers; each a median. */
export interface EntriesResult {
  readonly peers: number;
  readonly knet: number;
  /** knet's first run in a fresh process. */
  readonly knetCold: number;
  readonly limit: number | undefined;
  readonly iproute2Nexthops: number;
  readonly iproute2Plain: number;
  /** Reconcile of everything with nothing to do, devices and dumps included. */
  readonly nothing: number;
  /** Reconcile after all entries were deleted behind knet's back. */
  readonly deleted: number;
  /** One peer changed, by the call that a store event leads to. */
  readonly changed: number;
  /** All runs by rival. */
  readonly runs: Record<string, readonly number[]>;
}

const COLD_RUNS = 3;

/**
 * Measures.
 *
 * @param runs Paired runs; their order alternates.
 */
export async function measureEntries(
  sizes: readonly number[],
  runs: number,
  say: (text: string) => void,
): Promise<{ results: EntriesResult[]; limitMissing: string | undefined }> {
  const folder = await Deno.makeTempDir({ prefix: "knet-bench-" });
  try {
    const limit = buildLimit(folder);
    await using field = await Field.create();
    const results: EntriesResult[] = [];
    for (const size of sizes) {
      const leases = peerLeases(size);
      const rivals = [
        knetRival(field, leases),
        ..."program" in limit ? [limitRival(field, leases, folder, limit.program)] : [],
        iproute2Rival(field, leases, folder, true),
        iproute2Rival(field, leases, folder, false),
      ];
      say(`${size} peers: cold`);
      const cold = await measureCold(field, size);
      say(`${size} peers: ${runs} paired runs`);
      const times = await measurePaired(field, rivals, size, runs);
      say(`${size} peers: reconciling`);
      const again = await measureReconcile(field, leases, runs);
      const of = (name: string) => median(times[name] ?? []);
      results.push({
        peers: size,
        knet: of("knet"),
        knetCold: median(cold),
        limit: times["limit"] && of("limit"),
        iproute2Nexthops: of("iproute2, next-hop objects"),
        iproute2Plain: of("iproute2, plain routes"),
        nothing: median(again.nothing),
        deleted: median(again.deleted),
        changed: median(again.changed),
        runs: { ...times, cold, ...again },
      });
    }
    return { results, limitMissing: "missing" in limit ? limit.missing : undefined };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One uncounted round, then the counted ones, every other one in the opposite order. */
async function measurePaired(
  field: Field,
  rivals: readonly Rival[],
  peers: number,
  runs: number,
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= runs; round++) {
    // The warm-up is for knet's process alone: the others are processes of their own each time.
    const order = round === 0 ? rivals.slice(0, 1) : round % 2 ? rivals : rivals.toReversed();
    for (const rival of order) {
      const took = rival.run();
      await field.empty(peers, rival.nexthops);
      if (round > 0) (times[rival.name] ??= []).push(took);
    }
  }
  return times;
}

async function measureCold(field: Field, peers: number): Promise<number[]> {
  const entry = new URL("./cold.ts", import.meta.url).pathname;
  const times: number[] = [];
  for (let run = 0; run < COLD_RUNS; run++) {
    const line = [Deno.execPath(), "run", "-A", "--no-check", entry, field.netns, `${peers}`];
    times.push(Number((await exec(line)).stdout));
    await field.empty(peers, true);
  }
  return times;
}

async function measureReconcile(
  field: Field,
  leases: readonly Lease[],
  runs: number,
): Promise<{ nothing: number[]; deleted: number[]; changed: number[] }> {
  const { overlay } = field;
  overlay.setPeers(leases);
  expect(overlay.reconcile().operations, leases.length * 4);
  const times = { nothing: [] as number[], deleted: [] as number[], changed: [] as number[] };
  for (let run = 0; run <= runs; run++) {
    const nothing = timed(() => expect(overlay.reconcile().operations, 0));
    field.clear();
    await sleep(100 + leases.length / 25);
    const deleted = timed(() => expect(overlay.reconcile().operations, leases.length * 4));
    // Another public address, as after a move: one FDB entry is replaced.
    const peer = leases.length >> 1;
    const lease = { ...peerLease(peer), publicIp: `192.0.2.${1 + run}` };
    const changed = timed(() => expect(overlay.changePeers([lease], []).operations, 1));
    overlay.changePeers([peerLease(peer)], []);
    if (run > 0) {
      times.nothing.push(nothing);
      times.deleted.push(deleted);
      times.changed.push(changed);
    }
  }
  overlay.setPeers([]);
  field.clear();
  await sleep(100 + leases.length / 25);
  return times;
}

function timed(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

function expect(operations: number, wanted: number): void {
  if (operations !== wanted) throw new Error(`Sent ${operations} messages and not ${wanted}`);
}
