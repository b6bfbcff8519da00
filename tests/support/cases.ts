/**
 * Which backends are tried on which stores: the first on all, the others in turn on one each.
 *
 * @module
 */
import { type BackendCase, BACKENDS } from "./backend.ts";
import { type StoreKind, STORES } from "./lab.ts";

/** All pairs. */
export const CASES: readonly (readonly [BackendCase, StoreKind])[] = BACKENDS.flatMap(
  (backend, n) =>
    (n === 0 ? STORES : [STORES[n % STORES.length]!]).map((store) => [backend, store] as const),
);
