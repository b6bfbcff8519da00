/**
 * What becomes of an agent under a service manager that cannot join: it tells, and a host that has joined before goes on trying, more
 * and more seldom.
 *
 * A host that lacks something (exit code 3) or is in conflict with the store (4) will seldom be better off two seconds later. Where it
 * has never joined, somebody waits for the answer: the agent ends, and the unit does not start it again. Where it has, an interface may
 * come late at boot, a library may be installed, another host may give back what it holds, and nobody may be looking: the agent waits
 * itself, because systemd before 254 knows one pause only. Meanwhile the network stays as it was.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sdNotify } from "../../ffi/notify.ts";
import { sleep } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { readSnapshot } from "../store/snapshot.ts";
import type { AgentOptions } from "./agent_options.ts";
import { endingLine, waitingLine } from "./service_manager.ts";

const log = getLogger(["knet", "agent"]);

/** Milliseconds before the second attempt; twice as many each time. */
const FIRST = 2000;
/** The longest pause, milliseconds: half of the unit's WatchdogSec. An agent that was ready by what it remembered is watched. */
const LONGEST = 30_000;

/** Exit codes of what the agent itself tries again. */
const WAITS: readonly number[] = [3, 4];

/** What {@linkcode runPatiently} goes by. */
export interface Patience extends Pick<AgentOptions, "dataDir" | "once" | "signal"> {
  /** The exit code that an error ends the program with. */
  readonly exitCodeOf: (error: unknown) => number;
  /** Tells the service manager; false: there is none. */
  readonly notify?: (state: string) => boolean;
}

/**
 * Runs the agent, whose signal it knows too; under a service manager, on a host that has joined before, through what stands in its way.
 *
 * @throws {KnetError} if this host cannot join and nobody would start it again, or if it is not for the agent to wait.
 */
export async function runPatiently(
  { dataDir, once, signal, exitCodeOf, notify = sdNotify }: Patience,
  attempt: () => Promise<void>,
): Promise<void> {
  for (let pause = FIRST;; pause = Math.min(2 * pause, LONGEST)) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted || once) throw error;
      if (!notify(endingLine(error))) throw error;
      if (!WAITS.includes(exitCodeOf(error)) || !isMember(dataDir)) throw error;
      log.error("{error}; tries again in {seconds} s", {
        error: messageOf(error),
        seconds: pause / 1000,
      });
      notify(`${waitingLine(error, pause)}\nWATCHDOG=1`);
      await sleep(pause, signal);
      if (signal.aborted) return;
      notify("WATCHDOG=1");
    }
  }
}

/** Whether this host has joined before. */
function isMember(dataDir: string): boolean {
  return readSnapshot(dataDir, undefined, () => {}) !== undefined;
}
