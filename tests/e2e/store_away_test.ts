/**
 * Acceptance 5: the store goes away for a while, and nobody's traffic notices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Snapshot } from "../../core/store/snapshot.ts";
import { byHand } from "../support/by_hand.ts";
import { PingStream } from "../support/container.ts";
import { assertFullMesh, containersOf, flows, startCluster } from "../support/cluster.ts";
import { lockDatabase } from "../support/database_lock.ts";
import type { Lab } from "../support/lab.ts";
import { storeIs } from "../support/status.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, sleep, until } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

/** Seconds; short, so that an outage outlives it. */
const TTL = 4;

const setUp = (lab: Lab) =>
  startCluster(lab, {
    containers: 1,
    hosts: lab.hosts.slice(0, 2),
    init: `--lease-ttl ${TTL}`,
  });

const onPostgres = labSuite({ hosts: 3, store: "postgres", setUp });
const onSqlite = labSuite({ hosts: 3, store: "sqlite", setUp });

/** Takes the store away for `seconds` under traffic, and checks that only the agents notice. */
async function outage(
  lab: Lab,
  what: string,
  seconds: number,
  away: () => Promise<() => Promise<void>>,
): Promise<void> {
  const [first, second] = lab.hosts;
  const stream = await PingStream.start(
    first!.containers[0]!,
    second!.containers[0]!.address,
    0.02,
  );
  await using _end = stream;
  const before = [await fingerprint(first!), await fingerprint(second!)];
  const start = performance.now();
  const giveBack = await away();
  try {
    const sentence = await storeIs(first!, "away");
    report(`5: ${what}: said after ${ms(performance.now() - start)}: ${sentence}`);
    assert.equal((await first!.get("/healthz")).status, 200);
    await sleep(Math.max(0, start + seconds * 1000 - performance.now()));
    assert.deepEqual([await fingerprint(first!), await fingerprint(second!)], before);
  } finally {
    await giveBack();
  }
  const back = performance.now();
  await storeIs(first!, "ok");
  await storeIs(second!, "ok");
  report(`5: ${what}: caught up ${ms(performance.now() - back)} after its end`);
  assert.deepEqual([await fingerprint(first!), await fingerprint(second!)], before);
  const { sent, lost } = await stream.stop();
  assert.equal(lost, 0, `of ${sent} pings`);
}

/** A third host joins, everybody knows it, and it leaves. */
async function newcomer(lab: Lab, joined = false): Promise<void> {
  const third = lab.host(3);
  if (!joined) await third.join();
  await third.attach("c1");
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));
  await third.leave();
  await third.run("ip netns delete c1");
  await converged(lab.hosts.slice(0, 2));
}

onPostgres(
  `5: Postgres stopped for longer than the lease's life: traffic flows, nobody is forgotten`,
  async (lab) => {
    await outage(lab, "Postgres stopped", TTL + 3, async () => {
      await lab.postgres!.stop();
      return () => lab.postgres!.start();
    });
    await newcomer(lab);
  },
);

onPostgres(
  "5: Postgres cut off by dropped packets: traffic flows, agents catch up",
  async (lab) => {
    await outage(lab, "Postgres cut off", TTL + 3, async () => {
      await lab.postgres!.cut(true);
      return () => lab.postgres!.cut(false);
    });
    await newcomer(lab);
  },
);

onPostgres(
  "5: a node that joined while others were cut off from Postgres appears after",
  async (lab) => {
    const [first, second, third] = lab.hosts;
    for (const host of [first!, second!]) {
      await host.sh(
        `nft 'table inet cut { chain out { type filter hook output priority 0; ip daddr ${
          lab.postgres!.address
        } drop; }; }'`,
      );
    }
    await storeIs(first!, "away");
    await third!.join();
    await flows(first!.containers[0]!, second!.containers[0]!.address);
    for (const host of [first!, second!]) await host.run("nft delete table inet cut");
    await newcomer(lab, true);
  },
);

onPostgres(
  "5: an agent that starts from a snapshot that lacks a peer takes nothing from that peer",
  async (lab) => {
    const [first, second] = lab.hosts;
    const reference = await fingerprint(first!);
    const stream = await PingStream.start(
      first!.containers[0]!,
      second!.containers[0]!.address,
      0.02,
    );
    await using _end = stream;
    const restart = async () => {
      await first!.stop("SIGKILL");
      // It is written with a delay: the peer came, and the host died.
      const file = first!.path("/run/host/data/snapshot.json");
      const snapshot = JSON.parse(await Deno.readTextFile(file)) as Snapshot;
      await Deno.writeTextFile(file, JSON.stringify({ ...snapshot, peers: [] }));
      await first!.join();
    };
    // With the store there it is a matter of milliseconds, without it of as long as it is away.
    for (let n = 0; n < 3; n++) await restart();
    await lab.postgres!.stop();
    try {
      await restart();
      await storeIs(first!, "away");
      assert.equal(await fingerprint(first!), reference);
      const { stdout } = await first!.run("nft list set ip knet peers");
      assert.ok(stdout.includes(second!.address), stdout);
    } finally {
      await lab.postgres!.start();
    }
    await storeIs(first!, "ok");
    await converged(lab.hosts.slice(0, 2));
    const { sent, lost } = await stream.stop();
    assert.equal(lost, 0, `of ${sent} pings`);
  },
);

onPostgres("5: an agent that starts without its store gives the host its network", async (lab) => {
  const [first, second] = lab.hosts;
  const reference = await fingerprint(first!);
  // A host that dies within half a second of a change has it from the store, not from its snapshot.
  await until("the snapshot has the last change", () => {
    const text = Deno.readTextFileSync(first!.path("/run/host/data/snapshot.json"));
    return (JSON.parse(text) as Snapshot).peers.length === 1;
  });
  await lab.postgres!.stop();
  try {
    await first!.reboot();
    await first!.join();
    assert.equal(await fingerprint(first!), reference);
    await storeIs(first!, "away");
    const again = await first!.attach("c1");
    await flows(again, second!.containers[0]!.address);
  } finally {
    await lab.postgres!.start();
  }
  await storeIs(first!, "ok");
  await converged(lab.hosts.slice(0, 2));
});

onSqlite(
  "5: the SQLite file locked for longer than the lease's life: traffic flows, nobody is forgotten",
  async (lab) => {
    await outage(lab, "SQLite file locked", TTL + 3, () => {
      const lock = lockDatabase(lab.databaseFile);
      return Promise.resolve(() => Promise.resolve(lock[Symbol.dispose]()));
    });
    await newcomer(lab);
  },
);

onSqlite("5: a node that waited for the locked SQLite file joins when it is free", async (lab) => {
  const third = lab.host(3);
  const lock = lockDatabase(lab.databaseFile);
  let open = true;
  try {
    await third.join({ wait: false });
    await sleep(1000);
    assert.equal(third.agent?.ended, undefined, third.agent?.stderr);
    lock[Symbol.dispose]();
    open = false;
    await third.ready();
  } finally {
    if (open) lock[Symbol.dispose]();
  }
  await newcomer(lab, true);
});

function configOf(lab: Lab): object {
  const database = new DatabaseSync(lab.databaseFile);
  database.exec("pragma busy_timeout = 10000");
  const row = database.prepare("select document from knet_config").get();
  database.close();
  return JSON.parse(String(row!.document));
}

onSqlite("5: a configuration and rows that make no sense stop nobody", async (lab) => {
  const [first, second, third] = lab.hosts;
  const url = `sqlite:${lab.databaseFile}`;
  const good = configOf(lab);
  const before = [await fingerprint(first!), await fingerprint(second!)];
  const raise = "update knet_meta set value = value + 1 where name = 'revision'";
  const revision = "(select value from knet_meta where name = 'revision')";
  const writeConfig = (document: unknown) =>
    `update knet_config set document = '${JSON.stringify(document)}', revision = ${revision}`;
  // A route to a name server, a guard that nftables refuses, and a name that a terminal obeys.
  const lease = (node: string, subnet: string, publicIp: string) =>
    "insert into knet_leases (node_id, family, node_name, subnet, public_ip, backend, backend_data, " +
    "boot_id, agent_id, acquired, renewed, expires, reserved, revision, deleted) values " +
    `('${node}', 4, '${node}\x1b[2J', '${subnet}', '${publicIp}', 'vxlan', '{}', 'b', 'a', 1, 1, ` +
    `4102444800000, 0, ${revision}, 0)`;
  await byHand(
    url,
    raise,
    writeConfig({ ...good, network: "127.0.0.0/8" }),
    lease("dns", "8.8.8.8/32", "192.168.2.200"),
    lease("all", "10.244.99.0/24", "224.0.0.1"),
  );
  const warned = async (host: typeof first) =>
    (await host!.knetJson<StatusReport>("status")).warnings.join("\n");
  await until("status says so", async () => {
    for (const host of [first, second]) {
      const all = await warned(host);
      assert.match(
        all,
        /cluster configuration in the store: .*127\.0\.0\.0\/8.*goes on with the one/,
      );
      assert.match(all, /8\.8\.8\.8\/32/);
      assert.match(all, /224\.0\.0\.1/);
      assert.ok(!all.includes("\x1b"));
    }
    return true;
  });
  // It heals meanwhile, and starts anew by what it knows.
  await first!.sh("ip link set knet.1 down; ip link set knet.1 up");
  await second!.stop("SIGKILL");
  await second!.join();
  await until("all is as it was", async () => {
    assert.deepEqual([await fingerprint(first!), await fingerprint(second!)], before);
    return true;
  });
  await assertFullMesh(containersOf([first!, second!]));
  // Who knows nothing is told what is wrong.
  const refused = await third!.knet("join --once", { check: false });
  assert.equal(refused.code, 4, refused.stderr);
  assert.match(refused.stderr, /Cannot use the cluster configuration in the store/);

  await byHand(
    url,
    raise,
    writeConfig(good),
    `update knet_leases set deleted = 1, revision = ${revision} where node_id in ('dns', 'all')`,
  );
  await until("nothing is wrong any more", async () => {
    return !/in the store/.test(await warned(first) + await warned(second));
  });
  assert.deepEqual([await fingerprint(first!), await fingerprint(second!)], before);
});
