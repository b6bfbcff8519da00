import assert from "node:assert/strict";
import { type Kind, type Wish, wish } from "./kind.ts";
import { fdb, fdbEntry } from "./kinds/fdb.ts";
import { nexthop, onlinkNexthop } from "./kinds/nexthop.ts";
import { Touched, Wishes } from "./wishes.ts";

const MAC = "02:00:00:00:00:01";

function entry(dst: string, since: number, owner = `since ${since}`): Wish {
  return wish(fdb, fdbEntry(7, MAC, dst), { since, owner });
}

/** Where frames for the MAC go. */
const destination = (wishes: Wishes) => {
  const held = wishes.of(fdb as Kind).get(MAC);
  return held === undefined ? undefined : (held.value as { dst: string }).dst;
};
const keys = (touched: Touched) => [...touched.of(fdb as Kind)];

Deno.test("Wishes add and remove undo each other, and both note the keys", () => {
  const wishes = new Wishes();
  const one = entry("192.168.2.1", 1);
  const coming = new Touched(), going = new Touched();
  wishes.add([one], coming);
  assert.equal(destination(wishes), "192.168.2.1");
  wishes.remove([one], going);
  assert.equal(wishes.of(fdb as Kind).size, 0);
  assert.deepEqual([keys(coming), keys(going)], [[MAC], [MAC]]);
});

Deno.test("Wishes fulfil the older claim, whichever comes first, and the other when that one goes", () => {
  const old = entry("192.168.2.1", 1), young = entry("192.168.2.2", 2);
  for (const order of [[old, young], [young, old]]) {
    const wishes = new Wishes();
    for (const one of order) wishes.add([one]);
    assert.equal(destination(wishes), "192.168.2.1");
    assert.deepEqual(wishes.contests.map(({ winner, waiting }) => [winner.since, waiting.since]), [
      [1, 2],
    ]);
    const touched = new Touched();
    wishes.remove([old], touched);
    assert.equal(destination(wishes), "192.168.2.2");
    assert.deepEqual(keys(touched), [MAC]);
    assert.deepEqual(wishes.contests, []);
  }
});

Deno.test("Wishes keep what an intruder claims out of the way when it goes again", () => {
  const wishes = new Wishes();
  const old = entry("192.168.2.1", 1), young = entry("192.168.2.2", 2);
  wishes.add([old]);
  wishes.add([young]);
  wishes.remove([young]);
  assert.equal(destination(wishes), "192.168.2.1");
  wishes.remove([old]);
  assert.equal(destination(wishes), undefined);
});

Deno.test("Wishes wait in the order of their claims; of one moment the node id decides", () => {
  const wishes = new Wishes();
  const all = [entry("c", 3), entry("b", 2, "y"), entry("a", 2, "x"), entry("d", 4)];
  wishes.add(all);
  const served: (string | undefined)[] = [];
  while (wishes.of(fdb as Kind).size > 0) {
    served.push(destination(wishes));
    wishes.remove([wishes.of(fdb as Kind).get(MAC)!]);
  }
  assert.deepEqual(served, ["a", "b", "c", "d"]);
});

Deno.test("Wishes take back only what was added, not its equal", () => {
  const wishes = new Wishes();
  wishes.add([entry("192.168.2.1", 1)]);
  wishes.remove([entry("192.168.2.1", 1)]);
  assert.equal(destination(wishes), "192.168.2.1");
});

Deno.test("Wishes hold a next hop as long as one of its peers is there", () => {
  const wishes = new Wishes();
  const [a, b] = [1, 2].map((since) =>
    wish(nexthop, onlinkNexthop(4, "10.9.9.9", 7), { since, owner: "" })
  );
  wishes.add([a!, b!]);
  wishes.remove([a!]);
  assert.equal(wishes.of(nexthop as Kind).size, 1);
  wishes.remove([b!]);
  assert.equal(wishes.of(nexthop as Kind).size, 0);
});

Deno.test("Wishes pass over kinds that there shall be none of", () => {
  const wishes = new Wishes([nexthop as Kind]);
  wishes.add([wish(nexthop, onlinkNexthop(4, "10.9.9.9", 7), { since: 0, owner: "" })]);
  assert.equal(wishes.of(nexthop as Kind).size, 0);
});
