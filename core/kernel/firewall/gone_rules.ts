/**
 * Connections to addresses that were virtual IPs and may be anybody's now: they end by a reset, as those to the service network's do. A
 * label tells them from connections that were made to who has the address now. Pure.
 *
 * @module
 */
import type { Family } from "../../cluster/lease.ts";
import { chain } from "./guard.ts";
import { familyWord } from "./table.ts";

/** Bit of the label that conntrack has for connections to services (0 to 127, as `ct label` of nft(8)). */
const LABEL = 107;

/**
 * The chains, as part of a table that has `svc-nobody`.
 *
 * @param sets Names of the sets of what virtual IPs answer, and of those that are none any more.
 */
export function goneObjects(
  family: Family,
  sets: { readonly open: string; readonly gone: string },
): string[] {
  const word = familyWord(family);
  const label = `${word} daddr . meta l4proto . th dport @${sets.open} ct label set ${LABEL}`;
  const reset =
    `${word} daddr @${sets.gone} ct label ${LABEL} ct direction original jump svc-nobody`;
  return [
    // What this host asks itself goes out to its service.
    ...["input", "output"].map((hook) =>
      chain(`svc-label-${hook}`, `filter hook ${hook} priority -291`, [label])
    ),
    ...["forward", "output"].map((hook) =>
      chain(`svc-gone-${hook}`, `filter hook ${hook} priority -290`, [reset])
    ),
  ];
}
