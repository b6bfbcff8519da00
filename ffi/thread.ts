/**
 * Which thread JavaScript runs on.
 *
 * @module
 */
import { libc } from "./libc.ts";

/** The calling thread's id. That of the main thread is the process's, and a Worker or a test has another. */
export function threadId(): number {
  return libc().gettid();
}
