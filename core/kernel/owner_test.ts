import assert from "node:assert/strict";
import { sampleLink } from "../../tests/support/samples.ts";
import { KnetError } from "../base/error.ts";
import { isOwn, markOf, othersOf, readMark, refuseOthers } from "./owner.ts";

const own = { id: "a1", dataDir: "/var/lib/knet" };
const other = { id: "b2", dataDir: "/srv/two words" };

Deno.test("readMark() reads what markOf() writes, and takes no other alias for a mark", () => {
  assert.deepEqual(readMark(markOf(other)), { made: true, ...other });
  assert.deepEqual(readMark(markOf(other, false)), { made: false, ...other });
  for (const alias of [undefined, "", "knet", "uplink to knet /x", "knet a1", "my knet a1 /x"]) {
    assert.equal(readMark(alias), undefined, alias);
  }
});

Deno.test("markOf() fits into an alias however long the path is, and is known again", () => {
  const long = { id: "a1", dataDir: `/${"ä".repeat(300)}` };
  const mark = markOf(long);
  assert.ok(new TextEncoder().encode(mark).length <= 255);
  assert.ok(!mark.includes("\ufffd"), "no half of a character");
  assert.ok(isOwn(readMark(mark)!, { ...long, id: "b2" }));
});

Deno.test("isOwn() knows a directory that moved, and one that began anew in its place", () => {
  const mark = readMark(markOf(own))!;
  assert.ok(isOwn(mark, { id: "a1", dataDir: "/elsewhere" }));
  assert.ok(isOwn(mark, { id: "c3", dataDir: "/var/lib/../lib/knet/" }));
  assert.ok(!isOwn(mark, other));
});

Deno.test("refuseOthers() names the other knet and its devices, and says nothing of one's own", () => {
  const links = [
    sampleLink({ index: 1, name: "eth0", alias: "uplink" }),
    sampleLink({ index: 2, name: "knet0", kind: "bridge", alias: markOf(own) }),
    sampleLink({ index: 3, name: "cni0", kind: "bridge", alias: markOf(own, false) }),
  ];
  refuseOthers(links, own);
  assert.deepEqual(othersOf(links, other).map(({ link }) => link.name), ["knet0", "cni0"]);
  assert.throws(() => refuseOthers(links, other), (error) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, 4);
    assert.match(error.message, /data directory "\/var\/lib\/knet".*"knet0", "cni0"/);
    assert.match(error.remedy ?? "", /ip link delete knet0; ip link set cni0 alias ""/);
    return true;
  });
});
