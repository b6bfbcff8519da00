// Who holds a vote, with real replicas: lost hosts are replaced by those that stand by, and whoever leaves hands over first.
import assert from "node:assert/strict";
import { wayByDoor } from "../../core/store/dqlite/door.ts";
import { DqliteConnection } from "../../core/store/dqlite/connection.ts";
import { DqliteFailure } from "../../core/store/dqlite/failure.ts";
import { joinCluster, removeMember } from "../../core/store/dqlite/join.ts";
import type { Role } from "../../core/store/dqlite/wire.ts";
import { HostProcesses } from "../support/dqlite_processes.ts";

const OPTIONS = ["--patience=700"];

/** Names of hosts by their role, as one of them sees it. */
function namesOf(hosts: HostProcesses, from: string, wanted: Role): string[] {
  return hosts.members(from).filter(({ role }) => role === wanted)
    .map(({ address }) => address.split("/")[0]!).sort();
}

Deno.test("Replica gives the vote of a host that is lost to the one that stands by longest, of five hosts and then of four", async () => {
  await using hosts = await HostProcesses.start(5, OPTIONS);
  await hosts.until(() => namesOf(hosts, "a", "standby").length === 2, "two stand by");
  assert.deepEqual(namesOf(hosts, "a", "voter"), ["a", "b", "c"]);
  const engine = hosts.engine("e");
  await engine.write((query) => query("create table trial (x integer)"));
  // The one that leads: the next leader counts its time from anew.
  await hosts.kill("a");
  await engine.write((query) => query("insert into trial values (1)"));
  await hosts.until(
    () => namesOf(hosts, "b", "voter").filter((name) => name !== "a").length === 3,
    "another votes",
    10,
  );
  await hosts.until(
    () => !namesOf(hosts, "b", "voter").includes("a"),
    "the lost one votes no more",
  );
  const [fourth] = namesOf(hosts, "b", "voter").filter((name) => !["b", "c"].includes(name));
  // A second loss is borne, too, and a third host to vote is there.
  await hosts.kill("c");
  await engine.write((query) => query("insert into trial values (2)"));
  await hosts.until(
    () => namesOf(hosts, "b", "voter").join() === ["b", "d", "e"].join(),
    `b, d and e vote, after ${fourth}`,
    10,
  );
  assert.deepEqual(await engine.read((query) => query("select x from trial order by x")), [[1], [
    2,
  ]]);
});

Deno.test("removeMember() of the host that leads and of one that votes hands over first, down to the last one", async () => {
  await using hosts = await HostProcesses.start(3, OPTIONS);
  const engine = hosts.engine("c");
  await engine.write((query) => query("create table trial (x integer)"));
  for (const name of ["a", "b"]) {
    const way = wayByDoor(`${hosts.folder}/c`);
    const { address } = hosts.members("c").find((one) => one.address.startsWith(`${name}/`))!;
    assert.equal(await removeMember(way, name, 10_000), true);
    // It may go at once: it is needed for nothing any more.
    await hosts.kill(name);
    await engine.write((query) => query("insert into trial values (1)"));
    await hosts.until(
      () => !hosts.members("c").some((one) => one.address === address),
      `${name} is out`,
    );
  }
  assert.deepEqual(namesOf(hosts, "c", "voter"), ["c"]);
  const way = wayByDoor(`${hosts.folder}/c`);
  assert.equal(await removeMember(way, "c", 5000), false);
  await engine.write((query) => query("insert into trial values (1)"));
  // One that asked to be a member and never came to it could not take its place.
  const ghost = { id: 99, address: "ghost/99", member: false };
  await joinCluster(way, ghost, [hosts.members("c")[0]!.address], 5000);
  assert.equal(await removeMember(way, "c", 5000), false);
  await engine.write((query) => query("insert into trial values (1)"));
  assert.equal(await removeMember(way, "ghost", 5000), true);
  assert.equal(await removeMember(way, "nobody", 5000), true);
});

Deno.test("a host that is to get a vote and is not there is given up, and keeps no other from joining or leaving", async () => {
  await using hosts = await HostProcesses.start(1, OPTIONS);
  const way = wayByDoor(`${hosts.folder}/a`);
  const [only] = hosts.members("a");
  const ghost = { id: 99, address: "ghost/99", member: false };
  await joinCluster(way, ghost, [only!.address], 5000);
  using leader = await DqliteConnection.begin(await way.dial(""), undefined, 5000);
  // Without a word of ours the library waits for 50 s.
  await assert.rejects(
    leader.within(30_000, () => leader.assign(ghost.id, "voter")),
    DqliteFailure,
  );
  assert.equal(await removeMember(way, "ghost", 10_000), true);
});
