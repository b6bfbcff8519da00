/**
 * Reads knet's nftables table as text, its rules apart from what its sets and maps hold.
 *
 * @module
 */
import { type Nftables, NftablesError, type NftablesOptions } from "../../../ffi/libnftables.ts";
import type { Family } from "../../cluster/lease.ts";
import { isMissing } from "./ruleset.ts";
import { familyWord, TABLE } from "./table.ts";

/** The table without the elements of its sets; undefined if there is none. */
export function listRules(nft: Nftables, family: Family): string | undefined {
  const text = list(nft, `table ${familyWord(family)} ${TABLE}`, { stateless: true, terse: true });
  return text === undefined ? undefined : parseListing(text).rules;
}

/** The elements of a set, or of a map; none if there is no such thing. */
export function listElements(
  nft: Nftables,
  family: Family,
  name: string,
  kind: "set" | "map" = "set",
): ReadonlySet<string> {
  const text = list(nft, `${kind} ${familyWord(family)} ${TABLE} ${name}`);
  return parseListing(text ?? "").elements;
}

function list(nft: Nftables, what: string, options?: NftablesOptions): string | undefined {
  try {
    return nft.run(`list ${what}`, options);
  } catch (error) {
    if (error instanceof NftablesError && isMissing(error)) return undefined;
    throw error;
  }
}

/** Parts a listing into rules and the elements of its sets, whose order means nothing. */
export function parseListing(text: string): { rules: string; elements: ReadonlySet<string> } {
  const elements = new Set<string>();
  const rules = text.replace(/^\s*elements = \{([^}]*)\}\n/gm, (_, list: string) => {
    for (const part of list.split(",")) {
      const element = part.trim();
      if (element !== "") elements.add(element);
    }
    return "";
  });
  return { rules, elements };
}
