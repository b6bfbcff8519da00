/**
 * What a check is.
 *
 * @module
 */
import { missingCapabilities } from "../../../ffi/privilege.ts";
import { messageOf } from "../../base/error.ts";

/** What a check found. */
export interface Finding {
  /** "skip": it could not be looked at. */
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly detail: string;
  readonly remedy?: string;
}

/** One check. */
export interface DoctorCheck extends Finding {
  readonly check: string;
}

/** All is well. */
export const ok = (detail: string): Finding => ({ status: "ok", detail });
/** It could not be looked at. */
export const skip = (detail: string, remedy?: string): Finding => ({
  status: "skip",
  detail,
  ...(remedy !== undefined && { remedy }),
});
/** knet works, but not always or not for long. */
export const warn = (detail: string, remedy: string): Finding => ({
  status: "warn",
  detail,
  remedy,
});
/** knet cannot work. */
export const fail = (detail: string, remedy: string): Finding => ({
  status: "fail",
  detail,
  remedy,
});

/** Runs one check; what it throws is its failure. Without a privilege that it needs, it is skipped. */
export async function examine(
  check: string,
  run: () => Promise<Finding> | Finding,
): Promise<DoctorCheck> {
  try {
    return { check, ...await run() };
  } catch (error) {
    const denied = error instanceof Error && "code" in error &&
      (error.code === "EPERM" || error.code === "EACCES");
    const missing = missingCapabilities(["netAdmin", "sysAdmin"]);
    if (denied && missing.length > 0) {
      return { check, ...skip(`not seen without ${missing.join(" and ")}: ${messageOf(error)}`) };
    }
    const remedy = error instanceof Error && "remedy" in error && typeof error.remedy === "string"
      ? error.remedy
      : undefined;
    return {
      check,
      status: "fail",
      detail: messageOf(error),
      ...(remedy !== undefined && { remedy }),
    };
  }
}
