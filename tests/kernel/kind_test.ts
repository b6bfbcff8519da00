// A kind that knet does not have, made here in one value: policy rules, by a socket of their own, and polled. Everything else knows
// it by that value alone.
import assert from "node:assert/strict";
import { KernelEntries } from "../../core/kernel/entries.ts";
import { type Kind, KNET_PROTOCOL, wish } from "../../core/kernel/kind.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import { knetRoute, route } from "../../core/kernel/kinds/route.ts";
import { peerStatus } from "../../core/inspect/status.ts";
import { NLM_F_DUMP, NLM_F_REQUEST, verbFlags } from "../../ffi/netlink/batch.ts";
import { Attributes } from "../../ffi/netlink/message.ts";
import { addLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { sampleLease } from "../support/samples.ts";
import { inNewNamespace } from "../support/namespace.ts";

/** A rule that sends what comes from a prefix to a table of its own. */
interface Rule {
  readonly priority: number;
  readonly table: number;
  readonly mark: number;
  readonly protocol: number;
}

// linux/fib_rules.h
const RTM_NEWRULE = 32, RTM_DELRULE = 33, RTM_GETRULE = 34;
const FRA_PRIORITY = 6, FRA_FWMARK = 10, FRA_TABLE = 15, FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
const AF_INET = 2;
const attributes = new Attributes();

const rule: Kind<Rule> = {
  name: "rule",
  rank: 9,
  channel: { name: "rules", open: () => openRtnl() },
  key: ({ mark }) => `${mark}`,
  same: (wanted, present) => wanted.priority === present.priority && wanted.table === present.table,
  encode(batch, verb, one) {
    batch.begin(
      verb === "delete" ? RTM_DELRULE : RTM_NEWRULE,
      verbFlags(verb),
      () => `${verb} rule ${one.priority}`,
    );
    batch.u32(AF_INET);
    batch.u32(FR_ACT_TO_TBL << 24);
    batch.u32(0);
    batch.attrU32(FRA_PRIORITY, one.priority);
    batch.attrU32(FRA_FWMARK, one.mark);
    batch.attrU32(FRA_TABLE, one.table);
    batch.attrU8(FRA_PROTOCOL, one.protocol);
    batch.end();
  },
  list(socket) {
    const rules: Rule[] = [];
    socket.dump((batch) => {
      batch.begin(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, () => "list rules");
      batch.u32(AF_INET);
      batch.u32(0);
      batch.u32(0);
      batch.end();
    }, ({ data, view, offset, end }) => {
      const a = attributes.parse(data, view, offset + 12, end);
      rules.push({
        priority: a.u32(FRA_PRIORITY) ?? 0,
        mark: a.u32(FRA_FWMARK) ?? 0,
        table: a.u32(FRA_TABLE) ?? 0,
        protocol: a.u8(FRA_PROTOCOL) ?? 0,
      });
    }, { restart: () => rules.length = 0 });
    return rules;
  },
  ours: ({ protocol }) => protocol === KNET_PROTOCOL,
};

function ip(...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command("ip", { args }).outputSync();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a kind is one value: read, planned, applied, healed and shown by what serves all kinds", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "br0", kind: "bridge", up: true });
    const ifindex = getLink(rtnl, "br0")!.index;
    using entries = new KernelEntries(rtnl, { kinds: [...KINDS, rule as Kind] });
    entries.scope = { family: 4, device: undefined };
    const claim = { since: 0, owner: "a" };
    const lease = sampleLease({ subnet: "10.244.1.0/24" });
    const wishes = [
      wish(
        route,
        knetRoute({ family: 4, dst: "10.244.1.0/24", ifindex, onlink: false }),
        claim,
      ),
      wish(rule, { priority: 700, mark: 7, table: 77, protocol: KNET_PROTOCOL }, claim),
    ];
    const state = () =>
      peerStatus(lease, { via: "direct", entries: wishes }, (one) => entries.holds(one), 0).entries;
    entries.wishes.add(wishes);
    assert.deepEqual(state(), { route: false, rule: false });

    assert.deepEqual(entries.converge(), { operations: 2, failures: [] });
    assert.match(ip("rule", "show"), /^700:\s+from all fwmark 0x7 lookup 77 proto 107\s*$/m);
    assert.deepEqual(state(), { route: true, rule: true });
    assert.deepEqual(entries.counts.at(-1), { kind: "rule", present: 1, wanted: 1 });
    assert.deepEqual(entries.converge(), { operations: 0, failures: [] });
    assert.deepEqual(entries.poll(), []);

    const injuries = [
      ["rule", "del", "priority", "700"],
      ["rule", "add", "priority", "701", "fwmark", "9", "lookup", "78", "protocol", "107"],
    ];
    for (const injury of injuries) {
      ip(...injury);
      assert.deepEqual(entries.poll(), ["rule"], injury.join(" "));
      assert.deepEqual(entries.converge(), { operations: 1, failures: [] });
      assert.deepEqual(entries.poll(), []);
      assert.equal(ip("rule", "show").match(/proto 107/g)?.length, 1);
    }
    ip("rule", "add", "priority", "702", "fwmark", "9", "lookup", "78");
    assert.deepEqual(entries.poll(), [], "a foreign rule");

    entries.clear();
    assert.deepEqual(entries.converge(), { operations: 2, failures: [] });
    assert.doesNotMatch(ip("rule", "show"), /proto 107/);
    assert.match(ip("rule", "show"), /^702:/m);
  }));
