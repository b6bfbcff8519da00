/**
 * Giving memory back to the host.
 *
 * @module
 */
import { collectGarbage } from "./garbage.ts";
import { libc } from "./libc.ts";

/** Collects this thread's garbage, and gives back the pages that libraries freed, as far as runtime and C library allow. */
export function releaseMemory(): void {
  collectGarbage();
  try {
    libc().malloc_trim(0n);
  } catch {
    // Only glibc has it.
  }
}
