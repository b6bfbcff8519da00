/**
 * A store whose calls are timed, for metrics.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import type { Changes, Store } from "./store.ts";

/** Who hears of a store's calls. */
export interface StoreListener {
  /** A call ended, well or not. */
  asked(call: string, milliseconds: number): void;
  /** Somebody may have changed something. */
  changed(): void;
  /** There was nothing new in it. */
  unchanged(): void;
}

function isEmpty({ full, leases, removed, services, removedServices, timeouts }: Changes): boolean {
  return !full && leases.length + removed.length + services.length + removedServices.length === 0 &&
    timeouts === undefined;
}

/** The same store, with a listener. */
export function timedStore(store: Store, listener: StoreListener): Store {
  const timed = async (call: string, work: Promise<unknown>): Promise<unknown> => {
    const start = monotonicClock();
    try {
      const answer = await work;
      if (call === "changesSince" && isEmpty(answer as Changes)) listener.unchanged();
      return answer;
    } finally {
      listener.asked(call, monotonicClock() - start);
    }
  };
  const subscribe: Store["subscribe"] = (onChange, onState) =>
    store.subscribe(() => {
      listener.changed();
      onChange();
    }, onState);
  return new Proxy(store, {
    get(target, name) {
      if (name === "subscribe") return subscribe;
      const held = Reflect.get(target, name, target);
      if (typeof held !== "function") return held;
      return (...args: unknown[]) => {
        const answer = held.apply(target, args);
        return answer instanceof Promise && typeof name === "string" ? timed(name, answer) : answer;
      };
    },
  });
}
