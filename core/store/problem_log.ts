/**
 * Tells of rows that make no sense: each once.
 *
 * @module
 */
import { loggingBegun } from "../base/late_logging.ts";
import type { RowProblem } from "../services/service_store.ts";

/** So many rows that make no sense are named, of all those that one reading meets. */
const MOST_TOLD = 20;

/** The log. */
export async function logProblem(sentence: string): Promise<void> {
  await loggingBegun();
  const { getLogger } = await import("@logtape/logtape");
  getLogger(["knet", "store"]).warn("{sentence}", { sentence });
}

/** Passes on what was read, and tells of its problems, as far as they are new. */
export function problemTeller(
  warn: (sentence: string) => void | Promise<void>,
): <T extends { readonly problems: readonly RowProblem[] }>(reading: Promise<T>) => Promise<T> {
  const known = new Set<string>();
  const tell = async (sentence: string) => {
    if (known.has(sentence)) return;
    known.add(sentence);
    await warn(sentence);
  };
  return async (reading) => {
    const result = await reading;
    const { problems } = result;
    if (problems.length === 0) return result;
    const { describeProblem } = await import("./row_check.ts");
    // Somebody who writes nonsense again and again, or by the thousand, fills neither memory nor log.
    if (known.size > MOST_TOLD * 10) known.clear();
    for (const problem of problems.slice(0, MOST_TOLD)) await tell(describeProblem(problem));
    const more = problems.length - MOST_TOLD;
    if (more > 0) await tell(`Cannot use ${more} more rows in the store, they are left out, too`);
    return result;
  };
}
