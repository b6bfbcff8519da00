import assert from "node:assert/strict";
import { skip, whyNoLab } from "../../tests/support/skip.ts";
import { newNetns, withNetns } from "../netns.ts";
import { addLink, changeLink, deleteLink, getLink } from "./link.ts";
import { addNeighbour } from "./neighbour.ts";
import { addFdb } from "./fdb.ts";
import { openRtnl } from "./rtnl.ts";
import { type Change, subscribe, type Subscription, type Topic } from "./subscribe.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

function inNamespace(
  name: string,
  topics: readonly [Topic, ...Topic[]],
  run: (changes: Subscription, rtnl: NetlinkSocket) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const reason = whyNoLab();
    if (reason !== undefined) return skip(name, reason);
    using namespace = newNetns();
    using changes = withNetns(namespace.fd, () => subscribe(...topics));
    using rtnl = withNetns(namespace.fd, () => openRtnl());
    await run(changes, rtnl);
  });
}

async function until(changes: Subscription, holds: (change: Change) => boolean): Promise<Change> {
  const deadline = setTimeout(() => changes[Symbol.dispose](), 10_000);
  try {
    for await (const change of changes) if (holds(change)) return change;
    throw new Error("the change was not told within 10 s");
  } finally {
    clearTimeout(deadline);
  }
}

inNamespace(
  "subscribe() tells what is new, what is gone, and who did it",
  ["link", "neighbour"],
  async (changes, rtnl) => {
    addLink(rtnl, {
      name: "v",
      kind: "vxlan",
      vxlan: { vni: 7, port: 8472, local: "192.168.9.1", learning: false },
    });
    const { index } = getLink(rtnl, "v")!;
    changeLink(rtnl, index, { up: true });
    addNeighbour(rtnl, { ifindex: index, dst: "10.0.0.2", mac: "02:00:00:00:00:02" });
    addFdb(rtnl, { ifindex: index, mac: "02:00:00:00:00:02", dst: "192.168.9.2" });
    deleteLink(rtnl, index);
    await until(changes, (c) => c.kind === "link" && !c.deleted && c.value.name === "v");
    const neighbour = await until(changes, (c) => c.kind === "neighbour" && !c.deleted);
    assert.ok(neighbour.kind === "neighbour");
    assert.equal(neighbour.value.dst, "10.0.0.2");
    assert.equal(neighbour.pid, rtnl.portId);
    const fdb = await until(changes, (c) => c.kind === "fdb" && !c.deleted);
    assert.ok(fdb.kind === "fdb" && fdb.value.dst === "192.168.9.2");
    await until(changes, (c) => c.kind === "link" && c.deleted && c.value.index === index);
  },
);

inNamespace("subscribe() waits for what comes later", ["link"], async (changes, rtnl) => {
  const waiting = until(changes, (c) => c.kind === "link" && c.value.name === "late");
  await new Promise((resolve) => setTimeout(resolve, 20));
  addLink(rtnl, { name: "late", kind: "bridge" });
  await waiting;
});

inNamespace(
  "subscribe() says that there was more than the socket could hold, and goes on",
  ["neighbour"],
  async (changes, rtnl) => {
    addLink(rtnl, { name: "br", kind: "bridge", up: true });
    const ifindex = getLink(rtnl, "br")!.index;
    const mac = "02:00:00:00:00:02";
    for (let n = 0; n < 30_000; n++) {
      addNeighbour(rtnl, { ifindex, dst: `10.1.${n >> 8}.${n & 255}`, mac });
    }
    await until(changes, (change) => change.kind === "overrun");
    addNeighbour(rtnl, { ifindex, dst: "10.2.0.1", mac });
    await until(changes, (c) => c.kind === "neighbour" && c.value.dst === "10.2.0.1");
  },
);

inNamespace("subscribe() ends its loop when it is disposed", ["link"], async (changes, rtnl) => {
  const seen: Change[] = [];
  const loop = (async () => {
    for await (const change of changes) seen.push(change);
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  changes[Symbol.dispose]();
  changes[Symbol.dispose]();
  addLink(rtnl, { name: "unseen", kind: "bridge" });
  await loop;
  assert.deepEqual(seen, []);
  for await (const change of changes) assert.fail(`told after the end: ${change.kind}`);
});
