// What the agent makes of the kernel's notifications of its own and of others' changes.
import assert from "node:assert/strict";
import { KernelEvents } from "../../core/agent/kernel_events.ts";
import { Nftables } from "../../ffi/libnftables.ts";
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
