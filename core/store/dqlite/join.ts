/**
 * How a node becomes a member, how one is taken out, and who they are where a node itself does not know.
 *
 * @module
 */
import { monotonicClock, random, sleep } from "../../base/clock.ts";
import { KnetError } from "../../base/error.ts";
import { firstOf } from "../../base/first_of.ts";
import { DqliteConnection } from "./connection.ts";
import { dqliteError, GoneError, troubleOf } from "./failure.ts";
import { nameOf, type NodeIdentity } from "./identity.ts";
import { LeaderFinder, type Way } from "./leader.ts";
import { answers, PATIENCE } from "./member_watch.ts";
import type { Member } from "./wire.ts";

/** Does something on the node that leads, again until it is done or the time is over. */
async function atLeader<T>(
  way: Way,
  patience: number,
  work: (leader: DqliteConnection) => Promise<T>,
): Promise<T> {
  const finder = new LeaderFinder(way);
  const until = monotonicClock() + patience;
  for (;;) {
    try {
      using leader = await finder.connect(until);
      return await leader.within(until - monotonicClock(), () => work(leader));
    } catch (error) {
      // One member is made at a time; and who leads may be another by now.
      if (troubleOf(error) === "refused" || monotonicClock() >= until) {
        throw dqliteError(way.location, error);
      }
      await sleep(200 * (0.5 + random()));
    }
  }
}

/**
 * Makes a node a member, a spare one; the leader gives it another role soon. What its host was before, with data that is gone, is taken
 * out.
 *
 * @param seeds Addresses of members.
 * @returns all members.
 * @throws {KnetError} exit code 4 if a host of that name is a member and answers; StoreAwayError if the cluster does not.
 */
export async function joinCluster(
  way: Way,
  { id, address }: NodeIdentity,
  seeds: readonly string[],
  patience: number,
): Promise<Member[]> {
  const remembered = seeds.map((seed, n): Member => ({ id: n, address: seed, role: "voter" }));
  return await atLeader(
    { ...way, remembered: () => remembered },
    patience,
    async (leader) => {
      const members = await leader.members();
      if (members.some((member) => member.id === id)) return members;
      const former = members.filter((member) => nameOf(member.address) === nameOf(address));
      for (const member of former) {
        if (await answers(way, member.address)) {
          throw new KnetError(
            `Cannot join the cluster as "${
              nameOf(address)
            }": a host of that name is a member and runs`,
            { exitCode: 4, remedy: "Give this host another name" },
          );
        }
        await leader.remove(member.id);
      }
      await leader.add(id, address);
      return await leader.members();
    },
  );
}

/**
 * Takes a host's node out of the members. The last one that votes stays, whoever else is a member: nobody could take its place, and what
 * only it has would be lost.
 *
 * @param name The host's.
 * @returns whether it is none of them.
 * @throws {StoreAwayError} if the cluster does not answer.
 */
export async function removeMember(way: Way, name: string, patience: number): Promise<boolean> {
  return await atLeader(way, patience, async (leader) => {
    const members = await leader.members();
    const member = members.find(({ address }) => nameOf(address) === name);
    if (member === undefined) return true;
    if ((await leader.leader())?.id === member.id) {
      const voters = members.filter(({ id, role }) => role === "voter" && id !== member.id);
      if (voters.length === 0) return false;
      const heir = await aliveOf(way, voters);
      if (heir !== undefined) {
        await leader.transfer(heir.id);
        throw new GoneError("another node leads now");
      }
    }
    await leader.remove(member.id);
    return true;
  });
}

/** One of the members that answers; none if there is none. */
async function aliveOf(way: Way, members: readonly Member[]): Promise<Member | undefined> {
  const ways = members.map((member) => async () => {
    if (await answers(way, member.address)) return member;
    throw new GoneError(`${member.address} does not answer`);
  });
  return await firstOf(ways, 0, () => {}).catch(() => undefined);
}

/** Asks the others who is a member; none if none of them says. */
export async function membersByOthers(way: Way, own: string): Promise<Member[]> {
  for (const { address } of way.remembered()) {
    if (address === own) continue;
    try {
      using other = await DqliteConnection.begin(await way.dial(address), undefined, PATIENCE);
      const members = await other.within(PATIENCE, () => other.members());
      if (members.length > 0) return members;
    } catch {
      // The next one may know.
    }
  }
  return [];
}
