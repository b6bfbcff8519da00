/**
 * The administrator's word over a model of the store.
 *
 * @module
 */
import { KnetError } from "../../../core/base/error.ts";
import { type Adopted, type KnownStore, markAfter } from "../../../core/store/adoption.ts";
import { markOf, SETTLING } from "../../../core/store/identity.ts";
import type { ModelTables } from "./tables.ts";

/** See `adoptStore`; what was emptied of the counters is made anew before. */
export function adoptIn(tables: ModelTables, known: KnownStore | undefined, now: number): Adopted {
  if (tables.isEmptied) tables.bringUp();
  if (tables.config === undefined && known === undefined) {
    throw new KnetError(
      "Cannot adopt the store: it holds no usable cluster configuration, and this host remembers none",
      { exitCode: 4 },
    );
  }
  const found = markOf(tables.counter);
  const mark = markAfter(known?.mark.identity || found.identity, [found, known?.mark], now);
  tables.counters.set("identity", mark.identity);
  tables.counters.set("epoch", mark.epoch);
  tables.counters.set("revision", mark.revision);
  tables.counters.set("purged", mark.revision - 1);
  tables.counters.set("settles", now + SETTLING);
  for (const lease of tables.living()) {
    if (lease.expires > now) tables.put({ ...lease, expires: now });
  }
  if (tables.config !== undefined || known === undefined) return { mark, remembered: false };
  const { config, own, peers, services, timeouts } = known.snapshot;
  const { revision } = mark;
  tables.config = { value: config, revision };
  const taken = new Set(tables.living().flatMap(({ nodeId, subnet }) => [nodeId, subnet]));
  for (const lease of [own, ...peers]) {
    if (taken.has(lease.nodeId) || taken.has(lease.subnet)) continue;
    tables.put({ ...lease, revision, expires: Math.min(lease.expires, now) });
  }
  if (services !== undefined && tables.livingServices().length === 0) {
    tables.putServices(services, revision);
  }
  if (timeouts !== undefined) tables.timeouts ??= { value: timeouts, revision };
  return { mark, remembered: true };
}
