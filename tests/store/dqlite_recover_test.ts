// A majority of the copies is lost for good: one that is left is made the cluster's, whatever kills that in between, and those that come back
// with what they had are another cluster, which neither it nor its agents believe.
import assert from "node:assert/strict";
import { type RecoverOptions, recoverStore } from "../../core/agent/recover_store.ts";
import { KnetError } from "../../core/base/error.ts";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { wayByDoor } from "../../core/store/dqlite/door.ts";
import { dqliteEngine } from "../../core/store/dqlite/engine.ts";
import { filesIn, readIdentity, readMembersFile } from "../../core/store/dqlite/identity.ts";
import { comparePositions, logEnd } from "../../core/store/dqlite/log_end.ts";
import { Interruption, recoverReplica } from "../../core/store/dqlite/recover.ts";
import { storeAdmin } from "../../core/store/admin.ts";
import { storeAuthority } from "../../core/store/authority.ts";
import { whyOther } from "../../core/store/identity.ts";
import { acceptRecovered } from "../../core/store/recovery.ts";
import { sqlStore } from "../../core/store/sql_store.ts";
import type { Engine } from "../../core/store/engine.ts";
import { FileLock } from "../../ffi/file_lock.ts";
import { startHost, untilVoters } from "../support/dqlite.ts";
import { HostProcesses } from "../support/dqlite_processes.ts";

const STEPS = ["mark", "copy", "recover", "aside", "in place", "members", "identity"];
const NOW = 1_800_000_000;

const markOf = async (engine: Engine) => (await storeAdmin(engine).info()).mark;

async function certified(engine: Engine, nodes: readonly string[]): Promise<void> {
  const authority = storeAuthority(engine);
  const empty = new Uint8Array(1);
  await authority.begin({ certificate: empty, key: empty });
  for (const nodeId of nodes) {
    await authority.renew({ nodeId, role: "node", publicKey: empty }, () => ({
      ...{ certificate: empty, serial: `of ${nodeId}`, expires: Date.now() + 1_000_000 },
    }));
  }
}

Deno.test("recoverReplica() makes one copy the cluster's, killed at any step before, and the lost majority that returns is another one", async () => {
  await using hosts = await HostProcesses.start(3);
  const before = hosts.engine("c");
  await sqlStore(before).initConfig(makeClusterConfig({}));
  await certified(before, ["a", "b", "c"]);
  await before.write((query) => query("create table trial (x integer)"));
  await before.write((query) => query("insert into trial values (1)"));
  const known = await markOf(before);
  const directory = `${hosts.folder}/c`;
  const wish = { directory, dropped: ["a", "b"], now: NOW };
  assert.throws(
    () => recoverReplica(wish),
    (error) =>
      error instanceof KnetError && error.exitCode === 4 && /agent runs/.test(error.message),
  );
  for (const name of ["a", "b", "c"]) await hosts.kill(name);

  const was = readIdentity(directory)!;
  const end = logEnd(filesIn(directory).data)!;
  assert.ok(end.term > 0 && end.index > 5, JSON.stringify(end));
  for (const step of STEPS) {
    const interrupted = () =>
      recoverReplica({
        ...wish,
        onStep(now) {
          if (now === step) throw new Interruption(step);
        },
      });
    assert.throws(interrupted, Interruption);
    if (step === "mark") continue;
    // An agent that starts meanwhile does not go on with half of it.
    await assert.rejects(startHost(hosts.folder, "c"), /a recovery was begun in it/);
  }
  const { id, generation } = recoverReplica(wish);
  assert.equal(generation, NOW);
  assert.notEqual(id, was.id);
  // Once more does nothing more.
  assert.equal(recoverReplica(wish).id, id);
  assert.deepEqual(readMembersFile(directory), [{ id, address: `c/${id}`, role: "voter" }]);
  // What was there is kept aside, and the new one is not behind it.
  const kept = logEnd(filesIn(directory).before)!;
  assert.deepEqual(kept, end);
  assert.ok(comparePositions(end, logEnd(filesIn(directory).data)!) < 0);

  await using recovered = await startHost(hosts.folder, "c");
  assert.deepEqual(recovered.replica.recovery?.dropped, ["a", "b"]);
  const engine = dqliteEngine(recovered.replica.way, 5000);
  try {
    await acceptRecovered(engine, undefined, recovered.replica.recovery!.dropped);
    recovered.replica.accepted();
    assert.equal(readIdentity(directory)?.recovery, undefined);
    assert.equal(readIdentity(directory)?.generation, NOW);
    const mark = await markOf(engine);
    assert.equal(whyOther(known, mark), undefined);
    await engine.write((query) => query("insert into trial values (2)"));
    assert.deepEqual((await storeAuthority(engine).revoked()).toSorted(), ["of a", "of b"]);

    // The two come back with what they had: a majority of their own, which does not reach the third.
    await hosts.host("a");
    await hosts.host("b");
    const old = hosts.engine("a");
    await old.write((query) => query("insert into trial values (3)"));
    assert.match(whyOther(mark, await markOf(old)) ?? "", /older one \(epoch/);
    const rows = "select x from trial order by x";
    assert.deepEqual(await old.read((query) => query(rows)), [[1], [3]]);
    assert.deepEqual(await engine.read((query) => query(rows)), [[1], [2]]);
    assert.equal(hosts.members("a").find(({ address }) => address.startsWith("c/"))?.id, was.id);
    assert.equal(recovered.replica.cluster.members.length, 1);
  } finally {
    await engine.close();
  }
});

Deno.test("Replica gives its copy up for a cluster that was recovered without it, and joins that under another id; older words change nothing", async () => {
  await using hosts = await HostProcesses.start(1);
  await using first = await startHost(hosts.folder, "n", { begin: true });
  const member = { id: 77, address: "x/77", role: "voter" as const };
  let told: { members: typeof member[]; generation?: number } = { members: [member] };
  let superseded = 0;
  const seeds = [readIdentity(`${hosts.folder}/a`)!.address];
  const asking = { ask: () => Promise.resolve(told), onSuperseded: () => superseded++, seeds };
  const before = await (async () => {
    await using joined = await startHost(hosts.folder, "s", asking);
    await hosts.untilVoters("a", 2);
    // It follows nobody: the one that led is gone.
    await hosts.kill("a");
    await hosts.until(() => joined.replica.cluster.leader === undefined, "nobody leads");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(superseded, 0);
    told = { members: [member], generation: NOW };
    await hosts.until(() => superseded > 0, "it has heard");
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(superseded, 1);
    return joined.replica.address;
  })();
  const directory = `${hosts.folder}/s`;
  assert.equal(readIdentity(directory)?.recovery?.stage, "again");
  assert.deepEqual(readMembersFile(directory), [member]);
  await using again = await startHost(hosts.folder, "s", {
    join: async ({ id, address }) => {
      const { joinCluster } = await import("../../core/store/dqlite/join.ts");
      const way = wayByDoor(`${hosts.folder}/n`);
      const identity = { id, address, member: false };
      const members = await joinCluster(way, identity, [first.replica.address], 10_000);
      return { members, generation: NOW };
    },
  });
  assert.notEqual(again.replica.address, before);
  assert.equal(again.replica.generation, NOW);
  assert.deepEqual(readIdentity(directory), {
    ...{ id: Number(again.replica.address.split("/")[1]), address: again.replica.address },
    ...{ member: true, generation: NOW },
  });
  assert.ok(logEnd(filesIn(directory).before) !== undefined, "what it had is kept aside");
});

Deno.test("recoverStore() asks for --force where hosts are silent, changes nothing before, and refuses where there is no copy or an agent", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-dqlite-" });
  try {
    {
      await using first = await startHost(folder, "a", { begin: true });
      await using _second = await startHost(folder, "b", { seeds: [first.replica.address] });
      await untilVoters(first.replica, 2);
    }
    const directory = `${folder}/a`;
    const directories = { stateDir: `${folder}/run`, dataDir: `${folder}/data` };
    const ask = (more: Partial<RecoverOptions> = {}) =>
      recoverStore({
        ...{ storeUrl: `dqlite:${directory}`, force: false, dryRun: false, ...directories },
        ...more,
      });
    const refused = (pattern: RegExp, more: Partial<RecoverOptions> = {}) =>
      assert.rejects(ask(more), (error) => {
        assert.ok(error instanceof KnetError && error.exitCode === 4, `${error}`);
        assert.match(`${error.message} ${error.remedy}`, pattern);
        return true;
      });
    const before = Deno.readTextFileSync(filesIn(directory).node);
    await refused(/a database of its own/, { storeUrl: "sqlite:/x.db", force: true });
    await refused(/no knet store/, { storeUrl: `dqlite:${folder}/none`, force: true });
    await refused(/b does not answer.*--force/);
    {
      // An agent whose replica does not start holds its own lock only.
      Deno.mkdirSync(directories.dataDir, { recursive: true });
      using _agent = FileLock.acquire(`${directories.dataDir}/agent.lock`)!;
      await refused(/agent runs.*systemctl stop knet/, { force: true });
    }
    const planned = await ask({ dryRun: true });
    assert.equal(planned.state, "planned");
    assert.deepEqual(planned.dropped.map(({ nodeId }) => nodeId), ["b"]);
    assert.ok(planned.log!.index > 0);
    assert.equal(Deno.readTextFileSync(filesIn(directory).node), before);
    assert.equal((await ask({ force: true })).state, "done");
    // Asked again before the agent started, it is done still, and says who is dropped.
    const again = await ask();
    assert.deepEqual([again.state, again.dropped.map(({ nodeId }) => nodeId)], ["done", ["b"]]);
    await using alone = await startHost(folder, "a");
    await untilVoters(alone.replica, 1);
    alone.replica.accepted();
    await alone.replica.stop();
    await refused(/no majority is lost/, { force: true });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
