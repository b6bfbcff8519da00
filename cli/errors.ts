/**
 * Turns whatever was thrown into what the administrator reads: a message, a remedy, an exit status.
 *
 * @module
 */
import { KnetError, messageOf } from "../core/base/error.ts";
import type { ExitCode } from "../core/base/error.ts";

/** The command line, the environment or the configuration file says something that cannot be. Exit status 2. */
export class UsageError extends KnetError {
  override readonly name = "UsageError";

  /** `context` is the command whose help page the remedy points at: "knet join". */
  constructor(message: string, context: string, cause?: unknown) {
    super(message, {
      exitCode: 2,
      remedy: `See "${context} --help"`,
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** What is printed and returned for an error. */
export interface ErrorReport {
  readonly message: string;
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;
}

/** Why a file that a user named cannot be read, to go behind "Cannot read FILE:". */
export function whyUnreadable(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "its permissions keep this user out";
  const message = messageOf(error);
  return /^Is a directory/.test(message) ? "it is a directory" : message;
}

/** Errors of the kernel that mean "you are not allowed to". */
const FORBIDDEN = new Set(["EPERM", "EACCES"]);
/** Errors of the kernel that mean "this kernel cannot do that". */
const UNSUPPORTED = new Set(["EOPNOTSUPP", "EPROTONOSUPPORT", "EAFNOSUPPORT", "ENOSYS"]);

const ROOT_REMEDY =
  "Run it as root, or give it the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN; containers need them from their runtime";

/**
 * Judges an error. Errors of `ffi` are told by name and errno, not by class: this file is loaded on every
 * failure, the libraries are not.
 */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof KnetError) {
    return { message: error.message, remedy: error.remedy, exitCode: error.exitCode };
  }
  const message = messageOf(error);
  if (!(error instanceof Error)) return { message, remedy: undefined, exitCode: 1 };
  if (error.name === "MissingLibraryError" || error.name === "NoNftablesError") {
    const remedy = "remedy" in error && typeof error.remedy === "string" ? error.remedy : undefined;
    return { message, remedy, exitCode: 3 };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return {
      message,
      remedy: "Allow it to Deno (the tasks of deno.json do), or use the compiled binary",
      exitCode: 3,
    };
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (FORBIDDEN.has(code) || error instanceof Deno.errors.PermissionDenied) {
    return { message, remedy: ROOT_REMEDY, exitCode: 3 };
  }
  if (UNSUPPORTED.has(code)) {
    return {
      message,
      remedy: 'This kernel lacks what that needs; run "knet doctor" to see what is missing',
      exitCode: 3,
    };
  }
  return { message, remedy: undefined, exitCode: 1 };
}
