/**
 * Acceptance 4: an agent that dies or restarts at any moment costs neither traffic nor order.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type BackendCase, BACKENDS, vxlanCase } from "../support/backend.ts";
import { PingStream } from "../support/container.ts";
import {
  assertFullMesh,
  containersOf,
  flows,
  startCluster,
  threeVote,
} from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { type Lab, STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { median, ms, report, sleep, until } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

const long = Deno.env.has("KNET_TEST_LONG");

/** Moments of a kill; fewer where the way to the kernel is the same as another backend's. */
const momentsOf = (backend: BackendCase) =>
  Math.ceil((backend === vxlanCase ? 50 : 16) / (long ? 1 : 4));

/** The others go to the kernel as these two do. */
const chosen = BACKENDS.filter((backend) => long || backend === vxlanCase || !backend.flowsAlone);

for (const backend of chosen) {
  const moments = momentsOf(backend);
  const test = labSuite({
    // Where the hosts hold the store, the one that leaves while another is down has no vote.
    hosts: STORES[0] === "dqlite" ? 4 : 3,
    store: "sqlite",
    backend,
    setUp: (lab) => startCluster(lab, { containers: 1 }),
  });

  test(
    `4 (${backend.name}): a restart of the agent under traffic loses ${
      backend.flowsAlone ? "no ping" : "no ping but those of its absence"
    }`,
    async (lab) => {
      const [near, far] = [lab.host(1), lab.host(2)];
      let absent = 0;
      const stream = await PingStream.start(near.containers[0]!, far.containers[0]!.address);
      await using _end = stream;
      for (const signal of ["SIGTERM", "SIGKILL", "SIGINT"] as const) {
        for (const host of [near, far]) {
          const start = performance.now();
          const status = await host.stop(signal);
          if (signal !== "SIGKILL") assert.equal(status?.code, 0, `exit status after ${signal}`);
          await sleep(200);
          await host.join();
          absent += performance.now() - start;
        }
      }
      await converged(lab.hosts);
      const { sent, lost } = await stream.stop();
      report(`4 (${backend.name}): ${sent} pings over six restarts of agents, ${lost} lost`);
      // One every 10 ms, and one under way at the beginning and the end of each absence.
      assert.ok(lost <= (backend.flowsAlone ? 0 : absent / 10 + 12), `${lost} lost`);
    },
  );

  test(`4 (${backend.name}): a lease that went away while the agent was down leaves no entry after its restart`, async (lab) => {
    const first = lab.host(1);
    const last = await withoutVote(lab);
    await first.stop();
    await last.leave();
    await last.run("ip netns delete c1");
    await first.join();
    await converged(lab.hosts.filter((host) => host !== last));
    await first.stop();
    await last.join();
    await last.attach("c1");
    await first.join();
    await converged(lab.hosts);
    await assertFullMesh(containersOf(lab.hosts));
  });

  test(`4 (${backend.name}): kill -9 at ${moments} moments of joining leaves nothing that the next join does not mend`, async (lab) => {
    const host = lab.host(1);
    await host.stop();
    const reference = await fingerprint(host);
    const whole = median([await timedJoin(host), await rejoin(host), await rejoin(host)]);
    await host.stop();
    for (let n = 0; n < moments; n++) {
      // Every other time the kernel's tables are empty, as after a reboot: then joining has most to do.
      if (n % 2 === 0) await wipe(host);
      const moment = whole * 1.1 * (n + Math.random()) / moments;
      const agent = await host.join({ wait: false });
      await sleep(moment);
      await agent.stop("SIGKILL");
      host.agent = undefined;
      await host.joinOnce();
      assert.equal(await fingerprint(host), reference, `after a kill at ${Math.round(moment)} ms`);
    }
    await host.join();
    await converged(lab.hosts);
    report(`4 (${backend.name}): ${moments} kills over a join of ${ms(whole)}`);
  });

  test(`4 (${backend.name}): the underlay's carrier goes and comes back while no agent runs`, async (lab) => {
    const [near, far] = [lab.host(1), lab.host(2)];
    await near.stop();
    const before = await fingerprint(near);
    await lab.runUnderlay(`ip link set ${near.name} down`);
    await until("the interface has no carrier", async () => {
      const { stdout } = await near.run("cat /sys/class/net/eth0/carrier");
      return stdout.trim() === "0";
    });
    await sleep(300);
    await lab.runUnderlay(`ip link set ${near.name} up`);
    const bothWays = async () => {
      await flows(near.containers[0]!, far.containers[0]!.address);
      await flows(far.containers[0]!, near.containers[0]!.address);
    };
    if (backend.flowsAlone) await bothWays();
    assert.equal(await fingerprint(near), before);
    await near.join();
    await bothWays();
    await converged(lab.hosts);
  });
}

/** A host that may leave while the first one is down. */
async function withoutVote(lab: Lab): Promise<Host> {
  if (lab.store !== "dqlite") return lab.hosts.at(-1)!;
  const voters = await threeVote(lab.host(1));
  return lab.hosts.find(({ name }) => !voters.includes(name))!;
}

async function timedJoin(host: Host): Promise<number> {
  const start = performance.now();
  await host.join();
  return performance.now() - start;
}

async function rejoin(host: Host): Promise<number> {
  await host.stop();
  return await timedJoin(host);
}

async function wipe(host: Host): Promise<void> {
  await host.sh(`
    for dev in $(ls /sys/class/net | grep '^knet\\.'); do ip link delete "$dev"; done
    ip route flush proto 107
    nft list tables | grep -w knet | while read -r word family name; do nft delete table $family $name; done
    rm -f /run/knet/subnet.env`);
}
