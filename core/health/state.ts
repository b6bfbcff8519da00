/**
 * When a real server counts as down, and when as up again.
 *
 * @module
 */
import { CHECK_DEFAULTS, type CheckPace } from "../services/service.ts";

/** What is known of a real server. */
export interface HealthState {
  readonly up: boolean;
  /** Results in a row that contradict `up`. */
  readonly contrary: number;
}

/** Before the first check a real server counts as up: a host that starts shall balance at once. */
export const UNKNOWN: HealthState = { up: true, contrary: 0 };

/** Least and most of each, as core/services/validate.ts lets them be written. */
const BOUNDS = {
  interval: [100, 3_600_000],
  timeout: [10, 60_000],
  rise: [1, 100],
  fall: [1, 100],
} as const;

/**
 * A pace that can be kept, whatever the row says: an interval of 0 would be a check without end, and one that is no number would
 * never be due and keep all others from it.
 */
export function sanePace(pace: CheckPace): CheckPace {
  const within = (name: keyof typeof BOUNDS) => {
    const value = Number.isNaN(pace[name]) ? CHECK_DEFAULTS[name] : pace[name];
    return Math.min(Math.max(value, BOUNDS[name][0]), BOUNDS[name][1]);
  };
  return {
    interval: within("interval"),
    timeout: within("timeout"),
    rise: within("rise"),
    fall: within("fall"),
  };
}

/** The state after one more result. */
export function afterResult(
  state: HealthState,
  passed: boolean,
  { rise, fall }: Pick<CheckPace, "rise" | "fall">,
): HealthState {
  if (passed === state.up) return { up: state.up, contrary: 0 };
  const contrary = state.contrary + 1;
  return contrary >= (passed ? rise : fall)
    ? { up: passed, contrary: 0 }
    : { up: state.up, contrary };
}

/**
 * Milliseconds from the start of one check to the start of the next. One that begins to fail is asked again sooner, so that it is
 * out within little more than one interval whatever `fall` is.
 */
export function nextDelay(state: HealthState, { interval }: Pick<CheckPace, "interval">): number {
  return state.up && state.contrary > 0
    ? Math.min(interval, Math.max(100, interval / 5))
    : interval;
}
