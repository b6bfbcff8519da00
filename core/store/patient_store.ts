/**
 * A store in an administrator's hands, who does not come between hosts that announce what they hold: after an adoption, each write waits
 * until they had the time to.
 *
 * @module
 */
import { monotonicClock, sleep } from "../base/clock.ts";
import { SETTLING, SettlingStoreError } from "./identity.ts";
import type { Store } from "./store.ts";

/** Milliseconds between tries. */
const PAUSE = 250;

/**
 * The store, patient.
 *
 * @param onWait Told once that there is something to wait for.
 */
export function patientStore(store: Store, onWait: (sentence: string) => void): Store {
  let told = false;
  const settled = async <T>(write: () => Promise<T>): Promise<T> => {
    // Somebody may adopt it again meanwhile; not for ever.
    const end = monotonicClock() + 3 * SETTLING;
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (!(error instanceof SettlingStoreError) || monotonicClock() >= end) throw error;
        if (!told) {
          onWait(
            "The store was adopted just now: waiting until hosts have announced what they hold",
          );
        }
        told = true;
        await sleep(PAUSE);
      }
    }
  };
  return {
    ...store,
    initConfig: (...args) => settled(() => store.initConfig(...args)),
    releaseLease: (...args) => settled(() => store.releaseLease(...args)),
    reserveLease: (...args) => settled(() => store.reserveLease(...args)),
    pruneLeases: (...args) => settled(() => store.pruneLeases(...args)),
    editServices: (scope, edit) =>
      settled(() =>
        store.editServices(scope, (view) => {
          const wanted = edit(view);
          const { put = [], remove = [], timeouts } = wanted;
          const writes = put.length + remove.length > 0 || timeouts !== undefined;
          // A host that has not announced itself yet may have the address that a service is given.
          if (writes && (view.settling ?? 0) > 0) {
            throw new SettlingStoreError(
              "Cannot change services: the store was adopted, and hosts announce what they hold",
            );
          }
          return wanted;
        })
      ),
  };
}
