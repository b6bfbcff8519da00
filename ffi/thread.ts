/**
 * Which thread JavaScript runs on.
 *
 * @module
 */
import { openLibrary } from "./load.ts";

const symbols = {
  // pid_t gettid(void)
  gettid: { parameters: [], result: "i32" },
} as const;

/** The calling thread's id. That of the main thread is the process's, and a Worker or a test has another. */
export function threadId(): number {
  return openLibrary("libc.so.6", symbols).gettid();
}
