/**
 * When the agent does what: kernel events, ticks and the watchdog, one turn after the other.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sdNotify, watchdogInterval } from "../../ffi/notify.ts";
import { monotonicClock, sleep } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { DockerReclaimer } from "../container/docker/reclaim.ts";
import type { HostNetwork } from "./host_network.ts";
import type { HostUnderlay } from "./host_underlay.ts";
import type { KernelEvents } from "./kernel_events.ts";
import { reclaimContainers } from "./reclaim.ts";

const log = getLogger(["knet", "agent"]);

/** Milliseconds between two looks at what sends no notification. */
const TICK = 1000;
/** Milliseconds between two full reconciles without a reason. */
const SLOW_RESYNC = 60_000;
/** Least time between two full reconciles, so that a fight with somebody does not take the processor; milliseconds. */
const BREATH = 150;
/** How long a burst of changes may take to arrive, milliseconds. */
const SETTLE = 10;

/** What the loop turns. */
export interface LoopParts {
  readonly network: HostNetwork;
  readonly underlay: Pick<HostUnderlay, "now" | "problem">;
  readonly events: KernelEvents;
  readonly dataDir: string;
  readonly signal: AbortSignal;
  /** When everything was reconciled last, on the monotonic clock. */
  readonly lastFull: () => number;
  readonly reconcile: (why: string) => void;
  /** Looks at the underlay again. */
  readonly look: () => void;
}

/** Runs until the signal. */
export async function runLoop(parts: LoopParts): Promise<void> {
  const { network, underlay, events, signal, lastFull, reconcile } = parts;
  const watchdog = watchdogInterval();
  const docker = new DockerReclaimer(parts);
  let lastTick = monotonicClock();
  let lastNotify = -Infinity;
  let underlayDirty = false;
  const drain = () => {
    const news = events.read(network.watched(underlay.now));
    if (news.underlay) underlayDirty = true;
    network.note(news);
  };
  const turn = async () => {
    const arrived = network.dirty ||
      await events.wait(Math.max(0, lastTick + TICK - monotonicClock()));
    if (signal.aborted) return;
    if (watchdog !== undefined && monotonicClock() - lastNotify >= watchdog / 3) {
      lastNotify = monotonicClock();
      sdNotify("WATCHDOG=1");
    }
    // Changes come in bursts: what arrives within a few milliseconds is one change.
    if (arrived) await sleep(SETTLE);
    drain();
    const now = monotonicClock();
    if (now - lastTick >= TICK) {
      lastTick = now;
      network.tick();
      // It may come by what no notification was asked for.
      if (underlay.problem !== undefined) underlayDirty = true;
      if (network.problem !== undefined || now - lastFull() > SLOW_RESYNC) {
        network.invalidate();
        underlayDirty = true;
        reclaim(parts.dataDir, docker);
      }
    } else network.services.noteKernel();
    if (underlayDirty) {
      underlayDirty = false;
      parts.look();
    }
    if (network.dirty) {
      const wait = lastFull() + BREATH - monotonicClock();
      if (wait > 0) await sleep(wait);
      drain();
      reconcile("drift");
    } else if (network.firewallDirty) network.reconcileFirewall();
    if (network.services.dirty) network.reconcileServices();
  };
  while (!signal.aborted) {
    try {
      await turn();
      network.noteProblems("turn", []);
    } catch (error) {
      // The network that is there goes on, and the next turn may do what this one could not.
      network.noteProblems("turn", [messageOf(error)]);
      await sleep(TICK);
    }
  }
}

function reclaim(dataDir: string, docker: DockerReclaimer): void {
  const warn = (error: unknown) => log.warn("{message}", { message: messageOf(error) });
  void reclaimContainers(dataDir);
  void docker.look().then((freed) => {
    if (freed.length === 0) return;
    log.info("Freed {addresses}, which Docker has no container with", {
      addresses: freed.join(", "),
    });
  }, warn);
}
