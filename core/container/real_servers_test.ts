// What is done to containers is left out: nothing of the kernel is touched.
import assert from "node:assert/strict";
import { type Clock, giveClock } from "../base/clock.ts";
import { type ContainerRecord, writeBook } from "./addresses.ts";
import {
  equipContainers,
  realServersChanged,
  seeContainers,
  sparingVisits,
} from "./real_servers.ts";

const VIP = "10.96.0.10";

function container(netns: string, address: string, netnsId = `4:${netns}`): ContainerRecord {
  return {
    ...{ netns, netnsId, ifname: "eth0", address, prefixLength: 24 },
    hostIfname: `kv${netns}`,
  };
}
const web = container("web", "10.244.0.2");
const db = container("db", "10.244.0.3");
const vips = new Map([[web.address, new Set([VIP])]]);
const fail = (): never => {
  throw new Error("Cannot set namespace: EMFILE");
};

Deno.test("equipContainers() goes to those that have to be real servers, and to those that no longer have to", () => {
  const asked: [string, string[]][] = [];
  const done = equipContainers([web, db], vips, [db.netnsId], ({ netns }, own) => {
    asked.push([netns, [...own]]);
    return own.size > 0 ? ["made knet-vip0"] : ["removed knet-vip0"];
  });
  assert.deepEqual(asked, [["web", [VIP]], ["db", []]]);
  assert.deepEqual(done, {
    equipped: [web.netnsId],
    changes: [`made knet-vip0 in "web"`, `removed knet-vip0 in "db"`],
    problems: [],
  });
});

Deno.test("equipContainers() tries again what keeps its virtual IPs, and says that it does", () => {
  const failed = equipContainers([web, db], new Map(), [web.netnsId], fail);
  assert.deepEqual(failed, {
    equipped: [web.netnsId],
    changes: [],
    problems: [`Container "web" still has virtual IPs: Cannot set namespace: EMFILE`],
  });
  const again = equipContainers([web, db], new Map(), failed.equipped, () => []);
  assert.deepEqual(again, { equipped: [], changes: [], problems: [] });
});

Deno.test("equipContainers() says which container cannot be a real server, and forgets one that is gone", () => {
  const failed = equipContainers([web, db], vips, [], fail);
  assert.deepEqual(failed, {
    equipped: [web.netnsId],
    changes: [],
    problems: [`Container "web" cannot be a real server: Cannot set namespace: EMFILE`],
  });
  const services = new Map([[web.address, new Set(["shop"])]]);
  const gone = equipContainers([web, db], vips, failed.equipped, () => undefined, services);
  assert.deepEqual([gone.equipped, gone.changes, gone.problems.length], [[], [], 1]);
  assert.match(
    gone.problems[0]!,
    /^Service "shop" lacks a real server, 10\.244\.0\.2: Container "web" cannot .*cannot be opened/,
  );
  // One that has to be none has nothing to undo any more.
  assert.deepEqual(
    equipContainers([web], new Map(), failed.equipped, () => undefined).problems,
    [],
  );
});

Deno.test("sparingVisits() visits a container again after a while, or if something about it is new", () => {
  let now = 0;
  using _given = giveClock({ monotonic: () => now } as Clock);
  let visits = 0;
  const answers: (string[] | undefined | Error)[] = [];
  const { equip, forget } = sparingVisits(() => {
    visits++;
    const answer = answers.length > 0 ? answers.shift() : [];
    if (answer instanceof Error) throw answer;
    return answer;
  });
  /** How often it was visited in two looks. */
  const twice = (netnsId: string, ...vips: string[]) => {
    const before = visits;
    for (let look = 0; look < 2; look++) {
      try {
        equip({ ...web, netnsId }, new Set(vips));
      } catch (error) {
        assert.match(`${error}`, /EMFILE/);
      }
    }
    return visits - before;
  };
  assert.equal(twice("4:1", VIP), 1);
  assert.equal(twice("4:1", VIP), 0);
  assert.equal(twice("4:2", VIP), 1);
  assert.equal(twice("4:1", VIP, "10.96.0.11"), 1);
  assert.equal(twice("4:1", "10.96.0.11", VIP), 0);
  now += 59_000; // Less than from one reconcile of everything to the next.
  assert.equal(twice("4:1", VIP, "10.96.0.11"), 1);
  forget();
  assert.equal(twice("4:1", VIP, "10.96.0.11"), 1);
  // What failed, was not there or was made an ordinary container is not known to be right.
  answers.push(new Error("EMFILE"), undefined);
  assert.equal(twice("4:3", VIP), 2);
  assert.equal(twice("4:3", VIP), 1);
  assert.equal(twice("4:3"), 2);
  assert.equal(twice("4:3", VIP), 1);
});

Deno.test("realServersChanged() sees real servers that come, go, or are made anew, and no other containers", () => {
  const dataDir = Deno.makeTempDirSync({ prefix: "knet-real-server-" });
  try {
    const place = { dataDir, bootId: "boot" };
    const outcome = (before: ContainerRecord[] | undefined, after: ContainerRecord[]) => {
      if (before !== undefined) writeBook(place, before);
      const seen = seeContainers(place, vips);
      assert.equal(realServersChanged(seen), false);
      writeBook(place, after);
      return realServersChanged(seen);
    };
    assert.equal(outcome(undefined, [web]), true);
    assert.equal(outcome([db], [db, web]), true);
    assert.equal(outcome([db, web], [db]), true);
    assert.equal(outcome([web], [container("web", web.address, "4:other")]), true);
    assert.equal(outcome([web], [container("web", "10.244.0.9")]), true);
    assert.equal(outcome([container("web", "10.244.0.9")], [web]), true);
    assert.equal(outcome([web], [db, web]), false);
    assert.equal(outcome([db, web], [web, db]), false);
    assert.equal(outcome([web], [{ ...web, ifname: "eth1" }]), false);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});

Deno.test("realServersChanged() reads the address book only if it was written", () => {
  const dataDir = Deno.makeTempDirSync({ prefix: "knet-real-server-" });
  try {
    const place = { dataDir, bootId: "boot" };
    writeBook(place, [web]);
    const seen = seeContainers(place, vips);
    const { mtime } = Deno.statSync(`${dataDir}/containers.json`);
    // Other text behind the back of all that tells one state from another.
    const text = Deno.readTextFileSync(`${dataDir}/containers.json`);
    Deno.writeTextFileSync(`${dataDir}/containers.json`, text.replace("4:web", "4:wob"));
    Deno.utimeSync(`${dataDir}/containers.json`, mtime!, mtime!);
    assert.equal(realServersChanged(seen), false);
    writeBook(place, []);
    assert.equal(realServersChanged(seen), true);
    assert.equal(realServersChanged({ ...seen, vips: new Map() }), false);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});
