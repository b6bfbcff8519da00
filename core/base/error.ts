/**
 * The one error type of knet's domain: what was attempted, what stood in the way, what to do.
 *
 * @module
 */

/** Exit status of a command that fails: 1 failed, 2 wrong usage, 3 the host lacks something, 4 a conflict with what the store holds. */
export type ExitCode = 1 | 2 | 3 | 4;

/** What a {@linkcode KnetError} carries beside its message. */
export interface KnetErrorOptions extends ErrorOptions {
  /** Exit status of the command that meets this error. The default is 1. */
  exitCode?: ExitCode;
  /** One sentence that says what the administrator can do about it. */
  remedy?: string;
}

/**
 * An error meant for the administrator's eyes. The message names the action first, then a colon, then
 * the state: `Cannot lease a subnet of 10.244.0.0/16: all 256 are taken`.
 */
export class KnetError extends Error {
  override readonly name: string = "KnetError";
  /** Exit status of the command that meets this error. */
  readonly exitCode: ExitCode;
  /** What the administrator can do about it, if knet knows. */
  readonly remedy: string | undefined;

  constructor(message: string, options: KnetErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
    this.remedy = options.remedy;
  }
}

/**
 * The store cannot be reached now, but may be later: a server that is down, starting up or out of
 * connections, a database file locked by somebody else. The agent waits and tries again; a command fails.
 */
export class StoreAwayError extends KnetError {
  override readonly name = "StoreAwayError";
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Does what may throw, without noting where: that is most of what an error costs, and nobody looks where thousands of rows are judged.
 */
export function withoutTrace<T>(act: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return act();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
