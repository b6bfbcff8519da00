/**
 * Doctor's look at the store: does it answer and notify, and do its clock and this host's agree?
 *
 * @module
 */
import { isExpired } from "../../cluster/allocate.ts";
import { after, wallClock } from "../../base/clock.ts";
import { type ClusterConfig, makeClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import { KnetError } from "../../base/error.ts";
import { DIFFERENT_REMEDY } from "../../store/identity.ts";
import { readIdentity } from "../../store/dqlite/identity.ts";
import { dqliteDirectory, NoStoreError } from "../../store/location.ts";
import type { Service } from "../../services/service.ts";
import { openStore, sqlitePath } from "../../store/open.ts";
import type { Store } from "../../store/store.ts";
import { readVerdict, verdictText } from "../../store/verdict_file.ts";
import { askAgent } from "../ask_agent.ts";
import { type DoctorCheck, examine, fail, type Finding, ok, skip, warn } from "./check.ts";

const NOTIFY_PATIENCE = 4000;
/** Milliseconds by which clocks may differ without a word. */
const CLOCK_TOLERANCE = 30_000;

/** The store's checks, and what it holds. */
export async function storeChecks(
  storeUrl: () => Promise<string>,
  stateDir: string,
  nodeId: string | undefined,
): Promise<
  {
    checks: DoctorCheck[];
    config: ClusterConfig | undefined;
    leases: readonly Lease[];
    services: readonly Service[];
  }
> {
  let config: ClusterConfig | undefined;
  let leases: readonly Lease[] = [];
  let services: readonly Service[] = [];
  let clock: Finding = skip("the store does not answer");
  const reach = await examine("store", async () => {
    let url: string;
    try {
      url = await storeUrl();
    } catch (error) {
      if (!(error instanceof KnetError) || error.exitCode !== 3) throw error;
      return skip(error.message, error.remedy); // Only root can tell.
    }
    const directory = dqliteDirectory(url);
    if (
      directory !== undefined && isBare(directory) &&
      await askAgent(stateDir, "/healthz").catch(() => "") === undefined
    ) {
      config = makeClusterConfig({});
      clock = skip("this host takes part in no cluster yet");
      return warn(
        `this host takes part in no cluster yet; what is said of the network is of one that knet up would begin`,
        "Run knet up on the first host, and what it prints on the others",
      );
    }
    await using store = await openStore(url, { existing: true, stateDir });
    const verdict = readVerdict(stateDir);
    if (verdict?.location === store.location) {
      return fail(verdictText(verdict), DIFFERENT_REMEDY);
    }
    try {
      config = await store.getConfig();
    } catch (error) {
      if (!(error instanceof NoStoreError)) throw error;
      return warn(
        `there is no database of knet at ${sqlitePath(url) ?? store.location} yet`,
        "knet init or the first knet join makes it; on a shared directory, check that it is mounted",
      );
    }
    const told = await notified(store);
    const detail = `${store.location} answers, ${told}`;
    if (config === undefined) {
      clock = skip("the store holds no leases yet");
      return warn(`${detail}; it holds no cluster yet`, "Run knet init, or join as the first host");
    }
    const before = wallClock();
    const list = await store.listLeases();
    const { now } = list;
    leases = list.leases;
    ({ services } = await store.listServices());
    clock = compareClocks(store.engine, leases, nodeId, now, (before + wallClock()) / 2);
    return told.startsWith("poll")
      ? warn(detail, "Connect without a pooler in between")
      : ok(detail);
  });
  return { checks: [reach, { check: "clock", ...clock }], config, leases, services };
}

/** Whether a host has never held a copy there. */
function isBare(directory: string): boolean {
  try {
    return readIdentity(directory) === undefined;
  } catch {
    return false;
  }
}

async function notified(store: Store): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = after(NOTIFY_PATIENCE, () => resolve("poll: changes are not notified"));
  const subscription = store.subscribe(() => {}, (state, detail) => {
    resolve(state === "notify" ? detail : `${state}: ${detail}`);
  });
  try {
    return await promise;
  } finally {
    timer.cancel();
    subscription[Symbol.dispose]();
  }
}

/**
 * Postgres has a clock of its own to compare with. SQLite has not: there the other hosts' renewals tell.
 *
 * @param now the store's clock, `here` this host's; milliseconds since the epoch.
 */
export function compareClocks(
  engine: Store["engine"],
  leases: readonly Lease[],
  nodeId: string | undefined,
  now: number,
  here: number,
): Finding {
  const remedy = "Set the clocks by NTP on all hosts: timedatectl set-ntp true";
  const seconds = (span: number) => `${Math.round(Math.abs(span) / 1000)} s`;
  if (engine === "postgres") {
    const ahead = here - now;
    if (Math.abs(ahead) <= CLOCK_TOLERANCE) return ok("agrees with the store's");
    return warn(
      `this host's is ${seconds(ahead)} ${
        ahead > 0 ? "ahead of" : "behind"
      } the store's; leases go by the store's, certificates and logs do not`,
      remedy,
    );
  }
  const others = leases.filter((lease) =>
    lease.nodeId !== nodeId && lease.agentId !== "" && !lease.reserved
  );
  if (others.length === 0) return ok("no other host to compare with");
  const newest = Math.max(...others.map(({ renewed }) => renewed));
  if (newest - here > CLOCK_TOLERANCE) {
    return warn(
      `another host has renewed its lease ${
        seconds(newest - here)
      } in the future: one of the clocks is wrong`,
      remedy,
    );
  }
  if (others.every((lease) => isExpired(lease, here))) {
    return warn(
      "the leases of all other hosts are expired: this host's clock is ahead, or none of their agents runs",
      `${remedy}; or start the agents`,
    );
  }
  return ok("agrees with the other hosts' renewals");
}
