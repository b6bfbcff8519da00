import assert from "node:assert/strict";
import { byHand } from "../../tests/support/by_hand.ts";
import { requestOf } from "../../tests/support/lease_driver.ts";
import { service } from "../../tests/support/services.ts";
import { KnetError } from "../base/error.ts";
import { type ClusterConfig, makeClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { backendOf } from "../overlay/backend/backends.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { Membership } from "./membership.ts";
import type { MembershipEvents } from "./membership_options.ts";

const good = makeClusterConfig({});
const BREAK = `update knet_config set document = '{"network":"127.0.0.0/8"}'`;
const MEND = `update knet_config set document = '${JSON.stringify(good)}'`;
const RAISE = "update knet_meta set value = value + 1 where name = 'revision'";
const TOUCH =
  "update knet_config set revision = (select value from knet_meta where name = 'revision')";

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`Not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What an agent knows by what it was handed over. */
interface Known {
  readonly peers: Set<string>;
  readonly services: Set<string>;
  /** Callbacks that throw. */
  readonly failing: Set<keyof MembershipEvents>;
}

/** Runs a membership on a store of its own. */
async function follow(
  memory: { lease: Lease; config: ClusterConfig } | undefined,
  prepare: (store: Store, url: string) => Promise<void>,
  run: (membership: Membership, known: Known, store: Store, url: string) => Promise<void>,
  as: (store: Store) => Store = (store) => store,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "knet-membership-" });
  const url = `sqlite:${folder}/knet.db`;
  const known: Known = { peers: new Set(), services: new Set(), failing: new Set() };
  const take = (what: keyof MembershipEvents, act: () => void = () => {}) => {
    if (known.failing.has(what)) throw new TypeError(`Cannot take ${what}`);
    act();
  };
  const replace = (set: Set<string>, names: string[]) => {
    set.clear();
    for (const name of names) set.add(name);
  };
  try {
    await using store = await openStore(url);
    await using admin = await openStore(url);
    await store.initConfig(good);
    await prepare(admin, url);
    const membership = new Membership({
      store: as(store),
      identity: { nodeId: "own", nodeName: "own", bootId: "boot", agentId: "agent" },
      family: 4,
      loadConfig: async (store) => (await store.getConfig())!,
      backendOf: (config) => backendOf(config.backend),
      publicIp: () => "192.168.2.1",
      remembered: memory?.lease,
      ...(memory && { rememberedConfig: memory.config }),
      events: {
        onLease: () => take("onLease"),
        onAllPeers: (peers) =>
          take("onAllPeers", () => replace(known.peers, peers.map(({ nodeId }) => nodeId))),
        onSomePeers: (changed, removed) =>
          take("onSomePeers", () => {
            for (const key of removed) known.peers.delete(key.split("/")[0]!);
            for (const { nodeId } of changed) known.peers.add(nodeId);
          }),
        onServices: ({ full, services, removedServices }) =>
          take("onServices", () => {
            if (full) known.services.clear();
            for (const name of removedServices) known.services.delete(name);
            for (const { name } of services) known.services.add(name);
          }),
        onHealth: () => take("onHealth"),
      },
    });
    const stop = new AbortController();
    const ended = membership.run(stop.signal);
    ended.catch(() => {});
    try {
      await run(membership, known, admin, url);
    } finally {
      stop.abort();
      await ended.catch(() => {});
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const nothing = () => Promise.resolve();

Deno.test("Membership goes on with its configuration while that of the store makes no sense", () =>
  follow(undefined, nothing, async (membership, known, store, url) => {
    await membership.joined;
    const subnet = membership.own!.subnet;
    await byHand(url, RAISE, BREAK, TOUCH);
    await until("it says so", () => membership.configProblem !== undefined);
    assert.match(membership.configProblem!, /it has no subnetLen/);
    assert.match(membership.warnings[0]!, /^Cannot use the cluster configuration in the store/);
    assert.equal(membership.health.state, "ok");

    // It follows what else changes.
    const request = { ...requestOf("peer", "192.168.2.2"), lastGood: good };
    await store.acquireLease(request);
    await until("it hears of a peer", () => known.peers.has("peer"));
    membership.refresh({ renew: true });
    await until("it renews", () => membership.renewals > 0);
    assert.equal(membership.own!.subnet, subnet);

    await byHand(url, RAISE, MEND, TOUCH);
    await until("it is content again", () => membership.configProblem === undefined);
    assert.deepEqual(membership.warnings, []);
    assert.ok(known.peers.has("peer"));
  }));

Deno.test("Membership joins by what a snapshot kept where the configuration makes no sense", async () => {
  let lease: Lease | undefined;
  await follow(undefined, nothing, async (membership) => {
    await membership.joined;
    lease = membership.own;
  });
  const prepare = async (store: Store, url: string) => {
    const { nodeId, nodeName, bootId, agentId } = { ...lease! };
    await store.acquireLease({ ...requestOf("peer", "192.168.2.2") });
    await store.acquireLease({
      ...requestOf("own", "192.168.2.1"),
      ...{ nodeId, nodeName, bootId, agentId, previousSubnet: lease!.subnet },
    });
    await byHand(url, BREAK);
  };
  await follow({ lease: lease!, config: good }, prepare, async (membership, known) => {
    await until("it is told of peers", () => known.peers.size > 0);
    assert.match(membership.configProblem!, /it has no subnetLen/);
    assert.deepEqual([...known.peers], ["peer"]);
    await membership.joined;
  });
});

Deno.test("Membership without memory ends where the configuration makes no sense, and says why", () =>
  follow(undefined, (_store, url) => byHand(url, BREAK), async (membership) => {
    await assert.rejects(membership.joined, (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 4);
      assert.match(error.message, /^Cannot use the cluster configuration in the store: /);
      assert.match(error.remedy ?? "", /knet_config/);
      return true;
    });
  }));

Deno.test("Membership outlives whatever cannot be taken, and hands it over again", () =>
  follow(undefined, nothing, async (membership, known, store) => {
    await membership.joined;
    const all = ["onLease", "onAllPeers", "onSomePeers", "onServices", "onHealth"] as const;
    for (const what of all) known.failing.add(what);
    await store.acquireLease(requestOf("peer", "192.168.2.2"));
    await store.editServices("all", () => ({ put: [service("web")], result: 0 }));
    await until("it has a problem", () => membership.warnings.length > 1);
    assert.match(membership.problem!, /^Cannot take on/);
    assert.deepEqual([known.peers.size, known.services.size], [0, 0]);
    known.failing.clear();
    await until("all is taken", () => known.peers.has("peer") && known.services.has("web"));
    assert.deepEqual(membership.warnings, []);
  }));

Deno.test("Membership names rows that are left out, and takes them when they are put right", () =>
  follow(undefined, async (store) => {
    await store.acquireLease(requestOf("peer", "192.168.2.2"));
    await store.editServices("all", () => ({ put: [service("web")], result: 0 }));
  }, async (membership, known, _store, url) => {
    await membership.joined;
    assert.deepEqual([[...known.peers], [...known.services]], [["peer"], ["web"]]);
    const revision = "revision = (select value from knet_meta where name = 'revision')";
    const write = (publicIp: string, vip: string) =>
      byHand(
        url,
        RAISE,
        `update knet_leases set public_ip = '${publicIp}', ${revision} where node_id = 'peer'`,
        `update knet_services set vip = '${vip}', ${revision} where name = 'web'`,
      );
    await write("224.0.0.1", "127.0.0.1");
    await until("both are gone", () => known.peers.size + known.services.size === 0);
    assert.match(membership.warnings[0]!, /lease of node "peer".*multicast/);
    assert.match(membership.warnings[1]!, /service "web".*loopback/);
    await write("192.168.2.2", "10.96.0.10");
    await until("both are back", () => known.peers.has("peer") && known.services.has("web"));
  }));

Deno.test("Membership renews its lease when the store's clock says that half of its life is over, as after a suspension", () => {
  let slept = 0;
  const onServer = (store: Store) =>
    new Proxy(store, {
      get(target, name) {
        if (name === "engine") return "postgres";
        if (name === "changesSince") {
          return async (...args: Parameters<Store["changesSince"]>) => {
            const changes = await target.changesSince(...args);
            return { ...changes, now: changes.now + slept };
          };
        }
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  return follow(undefined, nothing, async (membership) => {
    await membership.joined;
    const before = membership.renewals;
    membership.refresh();
    assert.equal(membership.renewals, before);
    slept = good.leaseTtl * 600;
    membership.refresh();
    await until("it renews", () => membership.renewals > before);
  }, onServer);
});
