import assert from "node:assert/strict";
import { sampleConfig, sampleLease } from "../../tests/support/samples.ts";
import { giveClock } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { writeSnapshot } from "../store/snapshot.ts";
import { runPatiently } from "./patience.ts";

interface Round {
  readonly member: boolean;
  readonly managed?: boolean;
  readonly once?: boolean;
  /** Whether the agent is told to stop in the last pause. */
  readonly stopped?: boolean;
}

/** Runs an agent that ends so, once an attempt, and then no more. */
async function rounds(
  errors: readonly Error[],
  { member, managed = true, once = false, stopped = false }: Round,
) {
  const dataDir = Deno.makeTempDirSync();
  if (member) {
    const own = sampleLease({ nodeId: "n1" });
    writeSnapshot(dataDir, { version: 1, config: sampleConfig(), own, peers: [] });
  }
  const stop = new AbortController();
  const pauses: number[] = [];
  const told: string[] = [];
  let attempts = 0;
  using _clock = giveClock({
    ...{ wall: () => 0, monotonic: () => 0, random: () => 0, uuid: () => "" },
    after: (milliseconds, call) => {
      pauses.push(milliseconds);
      queueMicrotask(() => stopped && attempts === errors.length ? stop.abort() : call());
      return { cancel() {} };
    },
  });
  try {
    const exitCodeOf = (error: unknown) => error instanceof KnetError ? error.exitCode : 1;
    const notify = (state: string) => told.push(state) > 0 && managed;
    const ended = await runPatiently(
      { dataDir, once, signal: stop.signal, exitCodeOf, notify },
      () => {
        const error = errors[attempts++];
        return error === undefined ? Promise.resolve() : Promise.reject(error);
      },
    ).then(() => undefined, (error: unknown) => error);
    return { ended, attempts, pauses, told };
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
}

const lacks = new KnetError("Cannot find the underlay interface: the host has no default route", {
  exitCode: 3,
  remedy: "Name one with --iface",
});
const taken = new KnetError('Cannot join: "b" has this public address', { exitCode: 4 });

Deno.test("runPatiently() tries again what a member lacks or disagrees on, more and more seldom, and says so", async () => {
  const errors = [lacks, taken, lacks, lacks, taken, taken];
  const { ended, attempts, pauses, told } = await rounds(errors, { member: true });
  assert.equal(ended, undefined);
  assert.equal(attempts, 7);
  assert.deepEqual(pauses, [2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(
    told[1],
    "STATUS=Tries again in 2 s: Cannot find the underlay interface: the host has no default route. " +
      "Name one with --iface\nWATCHDOG=1",
  );
});

Deno.test("runPatiently() ends at once where somebody waits for the answer, and tells the service manager", async () => {
  for (
    const [what, error, round] of [
      ["a first start", lacks, { member: false }],
      ["a first start in conflict", taken, { member: false }],
      ["wrong usage", new KnetError("Cannot join: no", { exitCode: 2 }), { member: true }],
      ["a fault of its own", new TypeError("x is no function"), { member: true }],
      ["in a terminal", lacks, { member: true, managed: false }],
      ["--once", taken, { member: true, once: true }],
    ] as const
  ) {
    const { ended, attempts, pauses, told } = await rounds([error], round);
    assert.equal(ended, error, what);
    assert.equal(attempts, 1, what);
    assert.deepEqual(pauses, [], what);
    if (!("once" in round)) assert.ok(told[0]!.startsWith(`STATUS=${error.message}`), what);
  }
});

Deno.test("runPatiently() stops in the middle of a pause when it is told to", async () => {
  const { ended, attempts } = await rounds([taken], { member: true, stopped: true });
  assert.equal(ended, undefined);
  assert.equal(attempts, 1);
});
