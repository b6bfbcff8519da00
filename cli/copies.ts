/**
 * The hosts that hold the cluster's own store, as people see them.
 *
 * @module
 */
import type { CopyInfo } from "../core/store/admin.ts";

/** Who leads, and who has copies of the cluster's own store, by lines. */
export function copyLines(
  copies: readonly CopyInfo[] | undefined,
): (readonly [string, string])[] {
  if (copies === undefined) return [];
  const named = (role: CopyInfo["role"]) =>
    copies.filter((copy) => copy.role === role).map(({ name }) => name).join(", ") || "none";
  return [
    ["leads", copies.find(({ leads }) => leads)?.name ?? "not known"],
    ["votes", named("voter")],
    ["stand by", named("standby")],
    ["no copy", named("spare")],
    ...distances(copies),
  ];
}

/** How far each copy is, if that was asked. */
function distances(copies: readonly CopyInfo[]): (readonly [string, string])[] {
  const newest = Math.max(...copies.map(({ index }) => index ?? -1));
  if (newest < 0) return [];
  const told = copies.filter(({ role }) => role !== "spare").map(({ name, index }) => {
    if (index === undefined) return `${name} does not say`;
    return index === newest ? `${name} at ${index}` : `${name} ${newest - index} behind`;
  });
  return [["log entries", told.join(", ")]];
}

/** The same in one line. */
export function copiesText(copies: readonly CopyInfo[]): string {
  const holders = copies.filter(({ role }) => role !== "spare").map(({ name, role, leads }) =>
    `${name}${leads ? " (leads)" : role === "standby" ? " (stands by)" : ""}`
  );
  return holders.length === 0 ? "not known yet" : holders.join(", ");
}
