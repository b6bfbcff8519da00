/**
 * Whether a store may be recovered from this host's copy, and what becomes of the others. Pure: from who is a member and who answers.
 *
 * @module
 */
import { nameOf } from "../store/dqlite/identity.ts";
import type { Member, Role } from "../store/dqlite/wire.ts";
import type { Members } from "../store/remote/values.ts";

/** What another host said: who is a member, why it is silent, that it lives though its replica does not run, or that it takes this host for none. */
export type HostWord =
  | { readonly state: "answers"; readonly says: Members }
  | { readonly state: "lives"; readonly why: string }
  | { readonly state: "refuses"; readonly why: string }
  | { readonly state: "silent"; readonly why: string };

/** What is known where a recovery is asked for. */
export interface RecoveryFacts {
  /** As this host's replica saw them last. */
  readonly members: readonly Member[];
  /** The address of this host's node. */
  readonly own: string;
  /** Of this host's copy; 0 if it was never recovered. */
  readonly generation: number;
  /** By node id, of all other members. */
  readonly words: ReadonlyMap<string, HostWord>;
}

/** A member as the plan has it. */
export interface PlannedHost {
  readonly nodeId: string;
  readonly role: Role;
  /** Why it does not answer. */
  readonly why?: string;
}

/** What a recovery would do. */
export interface RecoveryPlan {
  /** This host's; undefined where it is no member by what it saw last. */
  readonly role: Role | undefined;
  /** Hosts that live: they get a new copy by themselves. */
  readonly kept: readonly PlannedHost[];
  /** Hosts with a copy that are silent: they are let in no more. */
  readonly dropped: readonly PlannedHost[];
  /** Hosts that have none, and are silent: when they come back, they find the store by themselves. */
  readonly away: readonly PlannedHost[];
  /** Why it must not be done, whatever the administrator says. */
  readonly refusal?: { readonly state: string; readonly remedy: string };
}

/** What a recovery would do, and whether it may. */
export function planRecovery(facts: RecoveryFacts): RecoveryPlan {
  const { members, own, words } = facts;
  const role = members.find(({ address }) => address === own)?.role;
  const others = members.filter(({ address }) => nameOf(address) !== nameOf(own));
  const wordOf = ({ address }: Member) => words.get(nameOf(address));
  const lives = (member: Member) => (wordOf(member)?.state ?? "silent") !== "silent";
  const planned = (member: Member): PlannedHost => {
    const word = wordOf(member);
    const why = word === undefined || word.state === "answers" ? undefined : word.why;
    return { nodeId: nameOf(member.address), role: member.role, ...(why !== undefined && { why }) };
  };
  const silent = others.filter((member) => !lives(member));
  const refusal = whyNot(facts, role);
  return {
    role,
    kept: others.filter(lives).map(planned),
    dropped: silent.filter((member) => member.role !== "spare").map(planned),
    away: silent.filter((member) => member.role === "spare").map(planned),
    ...(refusal !== undefined && { refusal }),
  };
}

const WAIT = "Start the agent here, systemctl start knet, and see knet store info";

function whyNot(
  { members, own, generation, words }: RecoveryFacts,
  role: Role | undefined,
): RecoveryPlan["refusal"] {
  const said = [...words].flatMap(([host, word]) =>
    word.state === "answers" ? [{ host, ...word.says }] : []
  );
  const newer = said.find((one) => (one.generation ?? 0) > generation);
  if (newer !== undefined) {
    return {
      state: `it was recovered already, from another host's copy, as ${newer.host} says`,
      remedy: "Start the agent here, systemctl start knet: it gets a copy of that store by itself",
    };
  }
  const refusing = [...words].find(([, word]) => word.state === "refuses");
  if (refusing !== undefined) {
    return {
      state: `${refusing[0]} lives, and takes this host for none of the cluster`,
      remedy:
        "If the cluster goes on without this host, run knet leave here, and let it join again with a new token",
    };
  }
  const led = said.find(({ leader }) => leader !== undefined && leader !== own);
  if (led !== undefined) {
    return {
      state: `${led.host} says that ${nameOf(led.leader!)} leads it, so nothing is lost`,
      remedy: WAIT,
    };
  }
  if (role === undefined || role === "spare") {
    return {
      state: "this host holds no copy of it",
      remedy: "Run it on a host that votes or stands by; on the others, knet store info names them",
    };
  }
  const voters = members.filter((member) => member.role === "voter");
  const needed = Math.floor(voters.length / 2) + 1;
  const there = voters.filter(({ address }) =>
    address === own || (words.get(nameOf(address))?.state ?? "silent") !== "silent"
  );
  if (there.length < needed) return undefined;
  const names = there.map(({ address }) => nameOf(address)).join(", ");
  return {
    state:
      `no majority is lost: of the ${voters.length} hosts that vote ${needed} are needed, and ${names} ${
        there.length === 1 ? "is" : "are"
      } there`,
    remedy: WAIT,
  };
}
