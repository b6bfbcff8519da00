/**
 * Who holds a vote. Pure: from who is there and for how long, to what the leader has to change.
 *
 * One host votes alone; of two both do, so that what was acknowledged is on both; of three and more, three vote. The next ones stand by
 * with a copy, and take the place of a voter that left or was away long; the others hold none.
 *
 * @module
 */
import type { Member, Role } from "./wire.ts";

/** A member as the leader sees it. */
export interface SeenMember extends Member {
  readonly alive: boolean;
  /** Milliseconds for which it has been so without a break. */
  readonly since: number;
}

/** What roles are given by. */
export interface RoleRules {
  /** How many vote if there are as many. */
  readonly voters: number;
  /** How many of the others stand by. */
  readonly standbys: number;
  /** Milliseconds after which a voter that is away is replaced. */
  readonly patience: number;
}

/** What holds unless said otherwise. */
export const ROLE_RULES: RoleRules = { voters: 3, standbys: 2, patience: 60_000 };

/** One change. */
export interface RoleChange {
  readonly id: number;
  readonly role: Role;
}

/**
 * What the leader has to change, in this order: first somebody gets a vote, then somebody loses it, so that there is never one less than
 * there were.
 *
 * @param leader Its id; it keeps its vote.
 */
export function roles(
  members: readonly SeenMember[],
  leader: number,
  rules: RoleRules = ROLE_RULES,
): RoleChange[] {
  const changes: RoleChange[] = [];
  const isGone = ({ alive, since }: SeenMember) => !alive && since >= rules.patience;
  const of = (role: Role) => members.filter((member) => member.role === role);
  // Whoever has lived longest comes first, a copy before none.
  const longest = (list: SeenMember[]) => list.sort((a, b) => b.since - a.since || a.id - b.id);
  const candidates = [
    ...longest(of("standby").filter(({ alive }) => alive)),
    ...longest(of("spare").filter(({ alive }) => alive)),
  ];

  const voters = of("voter");
  const wanted = Math.min(rules.voters, members.length);
  const staying = voters.filter((member) => !isGone(member));
  const chosen = candidates.splice(0, Math.max(wanted - staying.length, 0));
  for (const { id } of chosen) changes.push({ id, role: "voter" });

  // Those that are away lose it first, then those that came last; nobody does who was not replaced.
  const surplus = voters.length + chosen.length - wanted;
  const losing = [
    ...voters.filter(isGone).sort((a, b) => b.since - a.since),
    ...longest(staying.filter(({ id, alive }) => id !== leader && alive)).reverse(),
  ].filter(({ id }) => id !== leader).slice(0, Math.max(surplus, 0));
  const lost = new Set(losing.map(({ id }) => id));
  for (const { id } of losing) changes.push({ id, role: "spare" });

  const taken = new Set(chosen.map(({ id }) => id));
  const standing = of("standby").filter(({ id }) => !taken.has(id));
  const present = standing.filter((member) => !isGone(member));
  const free = candidates.filter(({ id, role }) => role === "spare" && !taken.has(id));
  // Whoever just lost its vote still has a copy.
  const returning = losing.filter((member) => member.alive && lost.has(member.id));
  const missing = Math.max(rules.standbys - present.length, 0);
  const called = [...returning, ...free].slice(0, missing);
  for (const { id } of called) changes.push({ id, role: "standby" });
  const over = standing.length + called.length - rules.standbys;
  const leaving = [
    ...standing.filter(isGone),
    ...longest(present.filter(({ alive }) => alive)).reverse(),
  ].slice(0, Math.max(over, 0));
  for (const { id } of leaving) changes.push({ id, role: "spare" });
  return changes;
}
