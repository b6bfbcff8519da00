/**
 * Published ports meet the kernel: maps of knet's table are read and changed by the difference. Whoever attaches a container does
 * this, the agent or a command beside it; that all is as it should be, the agent looks after with the rest of the table.
 *
 * @module
 */
import { type Nftables, NftablesError } from "../../../ffi/libnftables.ts";
import { listElements, listRules } from "./listing.ts";
import {
  hasPorts,
  PORT_MAPS,
  portDelta,
  type PortMaps,
  portObjects,
  type PortPlace,
} from "./port_rules.ts";
import { isMissing } from "./ruleset.ts";
import { REFUSAL_SETS } from "./service_rules.ts";
import { TABLE } from "./table.ts";

/** Another process writes the table: as often it is looked at again. */
const ATTEMPTS = 5;

/** What the kernel has published; undefined if knet's table has nothing of the kind. */
export function readPorts(nft: Nftables): PortMaps | undefined {
  const rules = listRules(nft, 4);
  if (rules === undefined || !new RegExp(`^\\s*map ${PORT_MAPS[0]} `, "m").test(rules)) {
    return undefined;
  }
  return new Map(PORT_MAPS.map((name) => [name, [...listElements(nft, 4, name, "map")]]));
}

/**
 * Changes what is published.
 *
 * @param change says what should be there, by what is.
 * @param place Where; undefined if there is nothing to be added, and the chains are made by others if need be.
 * @throws {NftablesError} if the kernel refuses.
 */
export function changePorts(
  nft: Nftables,
  change: (before: PortMaps) => PortMaps,
  place: Omit<PortPlace, "vips"> | undefined,
): void {
  for (let attempt = 1;; attempt++) {
    const before = readPorts(nft);
    const after = change(before ?? new Map());
    try {
      if (before !== undefined) {
        const commands = portDelta(before, after);
        if (commands !== "") nft.run(commands);
      } else if (place !== undefined && hasPorts(after)) {
        nft.run(
          `table ip ${TABLE} {\n${
            portObjects(after, { ...place, vips: vipsOf(nft) }).join("\n")
          }\n}\n`,
        );
      }
      return;
    } catch (error) {
      // The agent wrote the whole table between reading and writing.
      const raced = error instanceof NftablesError && (isMissing(error) || isThere(error));
      if (!raced || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Whether nftables said that what was to be added is there, as something else. */
function isThere({ output }: NftablesError): boolean {
  return /File exists/.test(output);
}

/** Services' virtual IPs, if the table has them. */
function vipsOf(nft: Nftables): string | undefined {
  const { vips } = REFUSAL_SETS;
  return new RegExp(`^\\s*set ${vips} `, "m").test(listRules(nft, 4) ?? "") ? vips : undefined;
}
