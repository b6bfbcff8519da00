/**
 * From a check as a service holds it to one that is done, and back.
 *
 * @module
 */
import type { ActiveCheck, CheckRequest } from "./check_kinds.ts";
import { checkActive } from "./check_rules.ts";
import { formatActive, parseCheck } from "./check_text.ts";
import type { Check, CheckPace, WrittenCheck } from "./service.ts";
import { ServiceError } from "./service_error.ts";

/** A check whose text the first knet that had checks does not know. */
function isWritten(check: Check): check is WrittenCheck {
  return check.type === "none" && "text" in check;
}

/** Whether anything is checked, as far as a knet understands it. */
export function isCheck(check: Check): check is Check & CheckPace {
  return check.type !== "none" || isWritten(check);
}

const read = new WeakMap<WrittenCheck, ActiveCheck | { readonly fault: string }>();

function readWritten(check: WrittenCheck): ActiveCheck | { readonly fault: string } {
  try {
    const { type, ...said } = parseCheck(check.text);
    if (type === undefined || type === "none") return { fault: "it checks nothing" };
    const { interval, timeout, rise, fall } = check;
    const active = { type, ...said, interval, timeout, rise, fall } as ActiveCheck;
    checkActive(active);
    return active;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ServiceError) {
      return { fault: error.message };
    }
    throw error;
  }
}

function readOf(check: WrittenCheck): ActiveCheck | { readonly fault: string } {
  let found = read.get(check);
  if (found === undefined) read.set(check, found = readWritten(check));
  return found;
}

/** What is done for a check; undefined if that is nothing, or only a newer knet understands it. */
export function activeCheck(check: Check): ActiveCheck | undefined {
  if (check.type !== "none") return check;
  if (!isWritten(check)) return undefined;
  const found = readOf(check);
  return "fault" in found ? undefined : found;
}

/** Why a check that is there is not done here; undefined if it is. */
export function checkFault(check: Check): string | undefined {
  if (!isWritten(check)) return undefined;
  const found = readOf(check);
  return "fault" in found ? found.fault : undefined;
}

/** A check as a service holds it: so that an older knet takes what it does not know for no check, and keeps it. */
export function storedCheck(active: ActiveCheck): Check {
  const { type, interval, timeout, rise, fall } = active;
  const pace = { interval, timeout, rise, fall };
  const text = formatActive(active);
  if (type === "tcp" && text === "tcp") return { type, ...pace };
  if (type === "http" && text === `http:${active.path}`) {
    return { type, path: active.path, ...pace };
  }
  return { type: "none", text, ...pace };
}

/** What is said of a check as its text, the pace apart; what `parseCheck` reads, if this knet knows it. */
export function formatCheck(check: Check): string {
  if (check.type !== "none") return formatActive(check);
  return isWritten(check) ? check.text : "none";
}

/** What a check says field by field, for programs. */
export function describeCheck(check: Check): CheckRequest | Check {
  return activeCheck(check) ?? check;
}
