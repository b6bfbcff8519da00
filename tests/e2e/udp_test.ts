/**
 * What is the udp backend's own: what its packet loop refuses, what it answers, and how it bears a bad network.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { TraceReport } from "../../core/inspect/trace/trace.ts";
import { udpCase } from "../support/backend.ts";
import { flows, startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { growth, soakUdp, tunnelCounters } from "../support/soak_udp.ts";
import { labSuite } from "../support/suite.ts";
import { report, until } from "../support/wait.ts";

const SECONDS = 20;
/** Memory of the engine comes and goes by some megabytes; a leak at this rate of packets is far more. */
const MOST_GROWTH_KIB = 12 << 10;

const test = labSuite({
  hosts: 3,
  store: "sqlite",
  backend: udpCase,
  links: [1, 2, 1],
  setUp: async (lab) => {
    // The packet loop has to refuse strangers by itself.
    for (const host of lab.hosts) host.joinArgs = [...host.joinArgs, "--no-peers-only"];
    await startCluster(lab, { containers: 1 });
  },
});

const tunAddress = async (host: Host) => (await host.subnet()).split("/")[0]!;

test("udp: a packet whose time to live ends in the tunnel is answered by the host that passes it on", async (lab) => {
  const [near, far] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  const before = await tunnelCounters(lab.host(1));
  const { stdout } = await near.run(`ping -n -c 1 -W 2 -t 2 ${far.address}`, { check: false });
  const from = await tunAddress(lab.host(1));
  assert.match(stdout, new RegExp(`From ${from} icmp_seq=1 Time to live exceeded`));
  const after = await tunnelCounters(lab.host(1));
  assert.equal(after.outExpired, before.outExpired + 1);
  assert.equal(after.icmpSent, before.icmpSent + 1);
});

test("udp: a packet for a subnet that nobody has is answered: network unreachable", async (lab) => {
  const near = lab.host(1).containers[0]!;
  const before = await tunnelCounters(lab.host(1));
  const { stdout } = await near.run("ping -n -c 1 -W 2 10.244.200.9", { check: false });
  const from = await tunAddress(lab.host(1));
  assert.match(stdout, new RegExp(`From ${from} icmp_seq=1 Destination Net Unreachable`));
  const after = await tunnelCounters(lab.host(1));
  assert.equal(after.outNoPeer, before.outNoPeer + 1);
  // The host itself gets the answer, too.
  const own = await lab.host(1).run("ping -n -c 1 -W 2 10.244.200.9", { check: false });
  assert.match(own.stdout, /Destination Net Unreachable/);
});

test("udp: errors are not sent faster than a router may", async (lab) => {
  const near = lab.host(1).containers[0]!;
  const before = await tunnelCounters(lab.host(1));
  await near.run("ping -n -q -f -c 3000 -W 1 10.244.200.9", { check: false });
  const after = await tunnelCounters(lab.host(1));
  assert.ok(after.icmpLimited > before.icmpLimited, "none was held back");
});

test("udp: status shows the packet loop and its counters", async (lab) => {
  const before = await tunnelCounters(lab.host(1));
  await flows(lab.host(1).containers[0]!, lab.host(2).containers[0]!.address);
  await until("the pings are counted", async () => {
    const after = await tunnelCounters(lab.host(1));
    return after.sentPackets > before.sentPackets && after.receivedPackets > before.receivedPackets;
  });
  const status = await lab.host(1).knetJson<{ tunnel?: { offloads: boolean } }>("status");
  assert.equal(status.tunnel?.offloads, true);
});

test("udp: trace follows the one route to the agent, and loses the packet without one", async (lab) => {
  const [host, far] = [lab.host(1), lab.host(2)];
  const traced = async () => {
    const line = ["trace", "c1", far.containers[0]!.address, "--json"];
    return JSON.parse((await host.knet(line, { check: false })).stdout) as TraceReport;
  };
  const { steps, passes } = await traced();
  assert.deepEqual(
    steps.map(({ step, status }) => `${step} ${status}`),
    ["container", "bridge", "forwarding", "route", "tunnel", "outer", "peer"]
      .map((step) => `${step} ok`),
  );
  assert.ok(passes);
  await host.stop();
  const last = (await traced()).steps.at(-1)!;
  assert.equal(last.status, "broken", last.detail);
  assert.match(last.detail, /no program reads from|is not up|no route/);
  await host.join();
});

test(`udp: ${SECONDS} s of TCP and UDP over a bad link and under attack`, async (lab) => {
  const { transfers, datagrams, hostile, resident, counters } = await soakUdp(lab, SECONDS);
  const grown = growth(resident);
  report(
    `udp: ${SECONDS} s with 1 % lost and 5 % reordered: ${transfers} transfers of 5 MB and ` +
      `${datagrams} datagrams intact, ${hostile} hostile ones sent; resident ` +
      `${Math.round((resident.at(-1) ?? 0) / 1024)} MiB, grown by ${
        Math.round(grown)
      } KiB in the second half`,
  );
  report(`udp: ${JSON.stringify(counters)}`);
  assert.ok(grown < MOST_GROWTH_KIB, `resident size grows: ${resident}`);
});
