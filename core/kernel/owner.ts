/**
 * Whose a device is: what a knet makes, and the bridge of others that it uses, carry its mark as their alias (`ip link` shows it).
 *
 * A name is no sign: another knet with directories of its own has devices of the same pattern. One network namespace has room for one
 * knet, since services, virtual IPs, the nftables table and the routes' protocol are one each; the mark outlives its agent, so that
 * the next one knows that they are taken.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Link } from "../../ffi/rtnl/link.ts";
import { KnetError } from "../base/error.ts";

/** One knet of this host. */
export interface Owner {
  /** Its agent id. */
  readonly id: string;
  /** Its data directory. */
  readonly dataDir: string;
}

/** What a device's alias says. */
export interface Mark extends Owner {
  /** Made by that knet; otherwise somebody else's bridge that it uses. */
  readonly made: boolean;
}

/** Bytes: IFALIASZ of linux/if.h without the closing zero. */
const MOST_BYTES = 255;
const MADE = "knet";
const USED = "used by knet";
const PATTERN = /^(knet|used by knet) (\S+) (\/.*)$/s;

/** The alias that says so. A directory whose path does not fit is cut off. */
export function markOf(owner: Owner, made = true): string {
  const text = `${made ? MADE : USED} ${owner.id} ${resolve(owner.dataDir)}`;
  const bytes = new TextEncoder().encode(text).subarray(0, MOST_BYTES);
  // A character that was cut in two is left out.
  return new TextDecoder().decode(bytes, { stream: true });
}

/** Reads an alias; undefined if it is no mark. */
export function readMark(alias: string | undefined): Mark | undefined {
  const [, word, id, dataDir] = PATTERN.exec(alias ?? "") ?? [];
  return word === undefined ? undefined : { made: word === MADE, id: id!, dataDir: dataDir! };
}

/** Whether a mark is this knet's: a directory may move with its agent id, or begin anew in its place without it. */
export function isOwn(mark: Mark, owner: Owner): boolean {
  const { dataDir } = readMark(markOf(owner))!;
  return mark.id === owner.id || mark.dataDir === dataDir;
}

/** A link that another knet has marked. */
export interface Foreign {
  readonly link: Link;
  readonly mark: Mark;
}

/** What other knets have marked. */
export function othersOf(links: readonly Link[], owner: Owner): Foreign[] {
  return links.flatMap((link) => {
    const mark = readMark(link.alias);
    return mark === undefined || isOwn(mark, owner) ? [] : [{ link, mark }];
  });
}

/**
 * Refuses to work beside another knet.
 *
 * @throws {KnetError} exit code 4, naming it.
 */
export function refuseOthers(links: readonly Link[], owner: Owner): void {
  const others = othersOf(links, owner);
  const [first] = others;
  if (first === undefined) return;
  const names = others.map(({ link }) => `"${link.name}"`).join(", ");
  const { dataDir } = first.mark;
  throw new KnetError(
    `Cannot join: another knet, of the data directory "${dataDir}", has this network namespace (${names})`,
    {
      exitCode: 4,
      remedy:
        `Take it down with knet leave --data-dir ${dataDir} and its --state-dir, or run this one in a network namespace of its own. ` +
        `If it is gone for good, delete what it left: ${
          others.map(({ link, mark }) =>
            mark.made ? `ip link delete ${link.name}` : `ip link set ${link.name} alias ""`
          ).join("; ")
        }`,
    },
  );
}

/** What of a device's wanted shape tells whose it is. */
export interface Wanted {
  readonly kind: string;
  readonly mac?: string;
  /** Absent: nobody's. */
  readonly owner?: Owner;
}

/**
 * Whether knet made a device that is there. Of bridges only: what else has a name of knet's is knet's. One without a mark, of an earlier
 * version, is known by its name, or by the MAC address that knet gave it.
 */
export function isMade(wanted: Wanted, { name, mac, alias }: Link): boolean {
  if (wanted.kind !== "bridge" || wanted.owner === undefined) return true;
  const mark = readMark(alias);
  if (mark !== undefined) return mark.made;
  return name.startsWith("knet") || (!alias && mac === wanted.mac);
}

/** The alias that a device lacks. What somebody else wrote on their own bridge stays. */
export function aliasOf(
  { owner }: Wanted,
  { alias }: Link,
  made: boolean,
): string | undefined {
  if (owner === undefined) return undefined;
  if (!made && alias && readMark(alias) === undefined) return undefined;
  const wanted = markOf(owner, made);
  return alias === wanted ? undefined : wanted;
}
