/**
 * Giving memory back to the host.
 *
 * @module
 */
import { collectGarbage } from "./garbage.ts";
import { openLibrary } from "./load.ts";

const symbols = {
  // int malloc_trim(size_t pad)
  malloc_trim: { parameters: ["usize"], result: "i32" },
} as const;

/** Collects this thread's garbage, and gives back the pages that libraries freed, as far as runtime and C library allow. */
export function releaseMemory(): void {
  collectGarbage();
  try {
    openLibrary("libc.so.6", symbols).malloc_trim(0n);
  } catch {
    // Only glibc has it.
  }
}
