// What the agent makes of the kernel's notifications of its own and of others' changes.
import assert from "node:assert/strict";
import { KernelEvents } from "../../core/agent/kernel_events.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { inNewNamespace } from "../support/namespace.ts";

const watched = {
  devices: new Set<number>(),
  names: new Set(["knet0"]),
  bridge: "knet0",
  underlay: { ifindex: 0, nearby: [] },
  entries: { contradicts: () => false },
  port: 0,
};

Deno.test("read() asks for the firewall after others' nftables transactions, not after our own", () =>
  inNewNamespace(() => {
    using events = new KernelEvents();
    using nft = new Nftables();
    nft.run("add table ip knet");
    assert.equal(events.read(watched).firewall, false);
    const { success } = new Deno.Command("nft", { args: ["flush", "ruleset"] }).outputSync();
    assert.equal(success, true);
    assert.equal(events.read(watched).firewall, true);
  }));

Deno.test("read() asks for containers when something happens to a port, by the bridge's word alone too", () =>
  inNewNamespace(() => {
    using events = new KernelEvents();
    using rtnl = openRtnl();
    events.follow(4);
    const port = "kv0123456789abc";
    addLink(rtnl, { name: "knet0", kind: "bridge", up: true });
    addLink(rtnl, { name: port, kind: "veth", peer: { name: "far" } });
    const bridge = getLink(rtnl, "knet0")!.index;
    const { index } = getLink(rtnl, port)!;
    changeLink(rtnl, index, { master: bridge, up: true });
    const around = { ...watched, devices: new Set([bridge]) };
    events.read(around);
    const news = (program: string, ...args: string[]) => {
      assert.ok(new Deno.Command(program, { args }).outputSync().success, args.join(" "));
      return events.read(around).containers;
    };
    assert.equal(news("ip", "link", "set", "far", "alias", "x"), false);
    assert.equal(news("bridge", "link", "set", "dev", port, "hairpin", "on"), true);
    assert.equal(news("ip", "link", "set", port, "nomaster"), true);
    assert.equal(news("ip", "link", "set", port, "down"), true);
    assert.equal(news("ip", "link", "delete", port), true);
  }));
