/**
 * A pair of Postgres servers on two hosts of the underlay: the primary is killed, cut off or stopped on purpose, the standby promoted.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { PingStream } from "../support/container.ts";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { storeIs } from "../support/status.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

const onPair = labSuite({
  hosts: 3,
  store: "postgres",
  standby: true,
  setUp: (lab) =>
    startCluster(lab, { containers: 1, hosts: lab.hosts.slice(0, 2), init: "--lease-ttl 30" }),
});

let writes = 0;

/** Milliseconds until a write is taken. */
async function writesAgain(host: Host): Promise<number> {
  const name = `w${++writes}`;
  const start = performance.now();
  await until("a write is taken", async () => {
    const line = `svc add ${name} --vip 10.96.9.${writes} --port 80`;
    return (await host.knet(line, { check: false })).code === 0;
  }, { deadline: 60_000, interval: 50 });
  return performance.now() - start;
}

/** Everybody listens at the primary, and has its store. */
async function settled(lab: Lab, hosts: readonly Host[]): Promise<void> {
  await Promise.all(hosts.map((host) => storeIs(host, "ok")));
  await until("all agents listen at the new primary", async () => {
    const connected = await lab.postgres!.sql(
      "select count(distinct client_addr) from pg_stat_activity where application_name = 'knet' " +
        "and query ~ '^(listen|select pg_notify|select pg_is_in_recovery|select greatest)'",
    );
    const details = await Promise.all(
      hosts.map(async (host) => (await host.knetJson<StatusReport>("status")).store.detail),
    );
    if (Number(connected) < hosts.length) throw new Error(`${connected} are connected`);
    if (details.some((detail) => detail !== "LISTEN/NOTIFY")) throw new Error(details.join("; "));
    return true;
  }, { deadline: 60_000 });
}

for (const how of ["kill", "cut", "switch"] as const) {
  onPair(
    `A fail-over of Postgres (${how}) loses no lease, no packet and no notification`,
    async (lab) => {
      const [first, second, third] = lab.hosts;
      const two = [first!, second!];
      const subnets = await Promise.all(two.map((host) => host.subnet()));
      const before = await Promise.all(two.map(fingerprint));
      await using stream = await PingStream.start(
        first!.containers[0]!,
        second!.containers[0]!.address,
        0.02,
      );
      try {
        await lab.failOver(how);
        const joining = third!.join();
        const took = await writesAgain(first!);
        report(`fail-over, ${how}: a command's write is taken ${ms(took)} after the promotion`);
        await joining;
        await settled(lab, lab.hosts);
        await converged(lab.hosts);
        const { leases } = await first!.knetJson<{ leases: { subnet: string }[] }>("lease ls");
        assert.equal(new Set(leases.map(({ subnet }) => subnet)).size, 3);
        await third!.leave();
        await converged(two);
        assert.deepEqual(await Promise.all(two.map((host) => host.subnet())), subnets);
        assert.deepEqual(await Promise.all(two.map(fingerprint)), before);
        const { sent, lost } = await stream.stop();
        assert.equal(lost, 0, `of ${sent} pings`);
      } finally {
        await lab.followAgain();
      }
    },
  );
}

onPair(
  "A former primary that takes writes again is believed by nobody, also not by who starts",
  async (lab) => {
    const [first, second] = lab.hosts;
    const two = [first!, second!];
    const before = await Promise.all(two.map(fingerprint));
    await using stream = await PingStream.start(
      first!.containers[0]!,
      second!.containers[0]!.address,
      0.02,
    );
    await lab.failOver("cut");
    await writesAgain(first!);
    // Whoever saw the former one's later writes, and not the promotion, would rightly miss them.
    await settled(lab, two);
    // Both take writes now, and the former one lacks somebody.
    const former = lab.standby!;
    await former.cut(false);
    assert.equal(await former.sql("select pg_is_in_recovery()"), "f");
    await former.sql("delete from knet_leases");
    await former.sql("update knet_meta set value = '9999' where name = 'revision'");
    await second!.stop("SIGKILL");
    await second!.join();
    await settled(lab, two);
    assert.deepEqual(await Promise.all(two.map(fingerprint)), before);
    // Only the former one is left: it is not taken for the store.
    await lab.postgres!.stop();
    const sentence = await storeIs(first!, "different");
    report(`two primaries: ${sentence}`);
    await first!.stop("SIGKILL");
    await first!.join();
    await storeIs(first!, "different");
    const { code, stderr } = await second!.knet(
      "lease reserve 10.244.200.0/24 --public-ip 192.168.2.77",
      {
        check: false,
      },
    );
    assert.equal(code, 4, stderr);
    assert.match(stderr, /replaced by another primary \(timeline/);
    assert.deepEqual(await Promise.all(two.map(fingerprint)), before);
    await lab.postgres!.start();
    await settled(lab, two);
    assert.deepEqual(await Promise.all(two.map(fingerprint)), before);
    const { sent, lost } = await stream.stop();
    assert.equal(lost, 0, `of ${sent} pings`);
  },
);
