// Sockets, contexts and descriptors are freed on every path, the failing ones too: a hundred thousand of each leave neither memory nor
// descriptors behind.
import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { openFile } from "../../ffi/file.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { openNetns } from "../../ffi/netns.ts";
import { EventPoll } from "../../ffi/poll.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { built, nlRoute, withAddr } from "../support/libnl_builder.ts";
import { inNewNamespace } from "../support/namespace.ts";

const MIB = 1 << 20;

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;

/** Resident size without garbage. */
function resident(): number {
  collectGarbage();
  collectGarbage();
  return Deno.memoryUsage().rss;
}
const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** Runs something so often; the first tenth fills caches and heaps to what they need. */
function often(times: number, run: (n: number) => void): { growth: number; fds: number } {
  const warm = times / 10;
  for (let n = 0; n < warm; n++) run(n);
  const before = resident();
  const fds = descriptors();
  for (let n = warm; n < times; n++) run(n);
  return { growth: resident() - before, fds: descriptors() - fds };
}

function leaksNothing(times: number, run: (n: number) => void): void {
  const { growth, fds } = often(times, run);
  // The smallest thing that could leak is a struct nl_sock: some 150 bytes.
  assert.ok(
    growth < 140 * 0.9 * times,
    `the resident size grew by ${(growth / MIB).toFixed(1)} MiB`,
  );
  assert.ok(fds <= 1, `${fds} descriptors are left`);
}

const TIMES = 100_000;

Deno.test("NetlinkSocket frees 100,000 sockets", () =>
  leaksNothing(TIMES, () => {
    using socket = openRtnl();
    assert.ok(socket.fd > 0);
  }));

Deno.test("NetlinkSocket frees what it had when opening or joining a group fails", () =>
  leaksNothing(TIMES, (n) => {
    if (n & 1) assert.throws(() => NetlinkSocket.open(31), /Cannot open a netlink socket/);
    else {
      assert.throws(() => {
        using socket = openRtnl();
        socket.joinGroup(100_000);
      }, /Cannot join netlink group/);
    }
  }));

Deno.test("NetlinkSocket keeps nothing of 100,000 dumps", () =>
  inNewNamespace(() => {
    using socket = openRtnl();
    socket.joinGroup(RTNLGRP.LINK);
    leaksNothing(TIMES, () => void listLinks(socket));
  }));

Deno.test("Nftables frees 100,000 contexts, those whose commands fail too", () =>
  leaksNothing(TIMES, (n) => {
    using nft = new Nftables();
    if (n % 10 === 0) assert.throws(() => nft.run("add nonsense"), /Cannot run nftables/);
  }));

Deno.test("openNetns() leaves no descriptor behind, neither of what it refuses", () =>
  leaksNothing(TIMES / 5, (n) => {
    if (n & 1) assert.throws(() => openNetns("/dev/null"), /EINVAL|ENOTTY/);
    else {
      using namespace = openNetns(`${Deno.pid}`);
      assert.ok(namespace.fd > 0);
    }
  }));

Deno.test("EventPoll leaves no eventfd behind", () =>
  leaksNothing(TIMES / 5, () => {
    using poll = new EventPoll();
    poll.wake();
  }));

Deno.test("libnl's builders, which tests hold our bytes against, are freed", () =>
  leaksNothing(TIMES / 5, () => {
    const r = nlRoute();
    const neighbour = r.rtnl_neigh_alloc();
    r.rtnl_neigh_set_ifindex(neighbour, 1);
    withAddr("10.0.0.1", (address) => r.rtnl_neigh_set_dst(neighbour, address));
    built(neighbour, r.rtnl_neigh_build_add_request, 0);
  }));

Deno.test("openFile() reports what it cannot open and keeps nothing", () =>
  leaksNothing(TIMES / 5, () => assert.throws(() => openFile("/proc/self/nowhere", 0), /ENOENT/)));
