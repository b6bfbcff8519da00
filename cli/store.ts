/**
 * The store, for as long as a command needs it.
 *
 * @module
 */
import type { Store } from "../core/store/store.ts";
import type { Settings } from "./settings.ts";

/** Milliseconds for a change of thousands of services in one transaction. */
const LARGE_DEADLINE = 60_000;

/** Opens the store for a while; `large` gives it time for thousands of services. */
export async function withStore<T>(
  settings: Settings,
  work: (store: Store) => Promise<T>,
  { large = false } = {},
): Promise<T> {
  const { openStore } = await import("../core/store/open.ts");
  await using store = await openStore(
    settings.storeUrl,
    large ? { deadlineMs: LARGE_DEADLINE } : {},
  );
  return await work(store);
}
