/**
 * Frees what containers had whose namespaces are gone, and says so.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../base/error.ts";
import { reclaimVanished } from "../container/container.ts";

const log = getLogger(["knet", "agent"]);

/** Frees their addresses and ports; never throws. */
export async function reclaimContainers(dataDir: string): Promise<void> {
  try {
    const freed = await reclaimVanished({ dataDir });
    if (freed.length === 0) return;
    const addresses = freed.map(({ address }) => address).join(", ");
    log.info("Freed {addresses}, whose containers are gone", { addresses });
  } catch (error) {
    log.warn("{message}", { message: messageOf(error) });
  }
}
