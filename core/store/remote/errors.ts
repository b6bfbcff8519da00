/**
 * Errors on their way from the server to who asked: they arrive as what they were.
 *
 * @module
 */
import * as v from "valibot";
import { type ExitCode, KnetError, StoreAwayError } from "../../base/error.ts";
import { UnusableConfigError } from "../config_row.ts";
import { DifferentStoreError, SettlingStoreError } from "../identity.ts";
import { NoStoreError } from "../location.ts";
import { EmptiedStoreError } from "../emptied.ts";

/** Characters of a message and of a remedy. */
const MOST = 4000;

/** An error as it travels. */
export interface SentError {
  /** Its class, as far as somebody asks for it. */
  readonly kind: "away" | "different" | "settling" | "emptied" | "none" | "config" | "other";
  readonly message: string;
  readonly exitCode: ExitCode;
  readonly remedy?: string;
  /** In what a different store differs, or what is wrong with the configuration. */
  readonly what?: string;
}

const text = v.pipe(v.string(), v.maxLength(MOST));

/** The shape of {@linkcode SentError}; a class that only a newer knet has is another. */
export const ERROR_SHAPE: v.GenericSchema<unknown, SentError> = v.object({
  kind: v.fallback(
    v.picklist(["away", "different", "settling", "emptied", "none", "config", "other"]),
    "other",
  ),
  message: text,
  exitCode: v.fallback(v.picklist([1, 2, 3, 4]), 1),
  remedy: v.exactOptional(text),
  what: v.exactOptional(text),
});

function kindOf(error: unknown): SentError["kind"] {
  if (error instanceof StoreAwayError) return "away";
  if (error instanceof DifferentStoreError) return "different";
  if (error instanceof SettlingStoreError) return "settling";
  if (error instanceof EmptiedStoreError) return "emptied";
  if (error instanceof NoStoreError) return "none";
  if (error instanceof UnusableConfigError) return "config";
  return "other";
}

/** What of an error goes out. Of one that is not for people, only that there was one. */
export function sendError(error: unknown): SentError {
  if (!(error instanceof KnetError)) {
    return {
      kind: "other",
      message: "Cannot answer: the agent that holds the store stumbled (its log says over what)",
      exitCode: 1,
    };
  }
  const what = error instanceof DifferentStoreError
    ? error.what
    : error instanceof UnusableConfigError
    ? error.problem.state
    : undefined;
  return {
    kind: kindOf(error),
    message: error.message.slice(0, MOST),
    exitCode: error.exitCode,
    ...(error.remedy !== undefined && { remedy: error.remedy.slice(0, MOST) }),
    ...(what !== undefined && { what: what.slice(0, MOST) }),
  };
}

function bare({ kind, what = "" }: SentError, location: string): KnetError | undefined {
  switch (kind) {
    case "different":
      return new DifferentStoreError(location, what);
    case "emptied":
      return new EmptiedStoreError();
    case "none":
      return new NoStoreError(location);
    case "config":
      return new UnusableConfigError({ what: "cluster configuration", state: what });
  }
}

/** The error that was sent. */
export function receiveError(sent: SentError, location: string): KnetError {
  const { kind, message, exitCode, remedy } = sent;
  const options = { exitCode, ...(remedy !== undefined && { remedy }) };
  if (kind === "away") return new StoreAwayError(message, options);
  if (kind === "settling") return new SettlingStoreError(message, options);
  const error = bare(sent, location);
  if (error === undefined) return new KnetError(message, options);
  // The server may call the store by another name.
  error.message = message;
  return error;
}
