/**
 * What the store itself has to know when the cluster was made anew of one host's copy.
 *
 * @module
 */
import { accept, adoptStore, type KnownStore } from "./adoption.ts";
import { revokeNodes } from "./authority.ts";
import { readConfigRow } from "./config_row.ts";
import type { Engine } from "./engine.ts";
import { markOf } from "./identity.ts";
import { readCounters } from "./revision.ts";
import { writeTo } from "./transaction.ts";

/**
 * Begins a new epoch, by which agents tell this store from the one that the lost hosts may come back with, and revokes the certificates of
 * those. Doing it twice does no harm.
 *
 * @param known What this host remembers.
 * @param dropped Node ids.
 */
export async function acceptRecovered(
  engine: Engine,
  known: KnownStore | undefined,
  dropped: readonly string[],
): Promise<void> {
  await writeTo(engine, async (tx) => {
    const { config } = await readConfigRow(tx);
    if (config !== undefined || known !== undefined) await adoptStore(tx, known);
    else {
      const found = markOf(await readCounters(tx.db));
      await accept(tx, found.identity, [found]);
    }
    await revokeNodes(tx, dropped);
  });
}
