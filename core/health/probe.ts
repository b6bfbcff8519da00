/**
 * What a look at a real server is.
 *
 * @module
 */

/** Who is asked. */
export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
}

/** What came of it. */
export interface ProbeResult {
  /** Undefined: this host could not ask, which says nothing of the real server. */
  readonly passed: boolean | undefined;
  /** In a few words; empty if it passed. */
  readonly detail: string;
}

/**
 * Asks a real server. Calls `done` once, never from within; the function that it returns gives up, and `done` is called soon with
 * {@linkcode LATE}. A thousand of these are made every second: no promise, no signal where none is needed.
 */
export type Probe = (target: ProbeTarget, done: (result: ProbeResult) => void) => () => void;

/** Result of a look that took too long. */
export const LATE: ProbeResult = { passed: false, detail: "no answer in time" };
/** Result of a look that found all well. */
export const PASSED: ProbeResult = { passed: true, detail: "" };

/** This host's own shortage: of descriptors, of ports, of memory. */
const SHORTAGE = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "EAGAIN", "ENOBUFS", "ENOMEM"]);

/** What an error of a connection means. */
export function failed(code: string | undefined, message: string): ProbeResult {
  return {
    passed: code !== undefined && SHORTAGE.has(code) ? undefined : false,
    detail: code === "ECONNREFUSED" ? "connection refused" : message,
  };
}
