/**
 * Real probes of the paths between hosts: what is wrong on the wire is told of by status within half a minute, and nothing is told of
 * a network that is well.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { vxlanCase } from "../support/backend.ts";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";

const test = labSuite({
  hosts: 4,
  store: "sqlite",
  backend: vxlanCase,
  setUp: (lab) => startCluster(lab, { containers: 0 }),
});

/** The acceptance is half a minute, on a machine that has nothing else to do. */
const SOON = 45_000;

const statusOf = (host: Host) => host.knetJson<StatusReport>("status");
const faultsOf = async (host: Host) =>
  Object.fromEntries(
    (await statusOf(host)).peers.map(({ name, probe }) => [name, probe?.fault ?? ""]),
  );

test("hosts that are well know each other's round-trip and say nothing", async (lab) => {
  for (const host of lab.hosts) {
    await until(`${host.name} has tried all paths`, async () => {
      const { peers } = await statusOf(host);
      return peers.every(({ probe }) => probe?.rtt !== undefined && probe.mtu === 1450);
    }, { deadline: SOON, interval: 200 });
    assert.deepEqual((await statusOf(host)).warnings, []);
  }
  const [h1, h2] = lab.hosts as [Host, Host];
  const ping = await h1.knet("ping h2");
  assert.match(ping.stdout, /through the overlay +5 of 5 answered, round-trip/);
  assert.match(ping.stdout, /mtu +1450 bytes pass/);
  assert.match(ping.stdout, /tcp +256 KiB in/);
  assert.match(ping.stdout, /routers +0 there, 0 back/);
  const container = await h2.attach("c1");
  assert.match((await h1.knet(`ping ${container.address}`)).stdout, /icmp +5 of 5 answered/);
  const { stdout } = await h1.knet("netcheck");
  assert.match(stdout, /^h3( +[0-9.]+ ms){2} +- +[0-9.]+ ms$/m);
  assert.match(stdout, /Nothing is wrong/);
  // Whoever is no peer's host gets nothing: not a container, nor somebody beside.
  const asks =
    `printf 'report\n' | timeout 2 bash -c 'exec 3<>/dev/tcp/GATEWAY/9473; cat >&3; cat <&3'`;
  const gateway = (await h2.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!;
  const line = asks.replace("GATEWAY", gateway);
  const own = await container.run(["bash", "-c", line], { check: false });
  assert.equal(own.stdout, "");
});

test("a blocked direction, a mixed MTU, lost UDP and a dead host are told of, each by its name", async (lab) => {
  const [h1, h2, h3, h4] = lab.hosts as [Host, Host, Host, Host];
  const pair = "{ 192.168.2.101, 192.168.2.103 }";
  // h1 to h2: the tunnel's port; h2 to h3: large outer packets; h1 and h3: inner UDP.
  const rules = [
    "ip saddr 192.168.2.101 ip daddr 192.168.2.102 udp dport 8472 drop",
    "ip saddr 192.168.2.102 ip daddr 192.168.2.103 ip length > 1400 drop",
    // The inner protocol is UDP, VXLAN, Ethernet and nine bytes behind the start of the outer UDP header.
    `ip saddr ${pair} ip daddr ${pair} udp dport 8472 @th,312,8 17 drop`,
  ];
  const chain = `type filter hook forward priority 0;\n${rules.join("\n")}\n`;
  await lab.runUnderlay(["nft", `table bridge spoil {\nchain forward {\n${chain}}\n}`]);
  await h4.run("ip link set eth0 down");
  const { ms: took } = await until("all is told", async () => {
    assert.deepEqual(await faultsOf(h1), { h2: "blocked-there", h3: "checksum", h4: "dead" });
    assert.equal((await faultsOf(h2))["h3"], "mtu");
    return true;
  }, { deadline: SOON, interval: 250 });
  report(`path faults are told after ${ms(took)}`);
  const text = (await h2.knet("status")).stdout;
  assert.match(text, /Packets of 1450 bytes, this overlay's MTU, do not reach host "h3"/);
  assert.match(text, /h3 .* mtu$/m);
  assert.equal((await faultsOf(h3))["h2"], "");
  const ping = await h2.knet("ping h3", { check: false });
  assert.equal(ping.code, 1);
  assert.match(ping.stdout, /mtu +13[0-9][0-9] bytes pass, the overlay's MTU is 1450/);
  assert.match(ping.stdout, /tcp +a connection opens, and then hangs/);
  const metrics = (await h1.get("/metrics")).body;
  assert.match(metrics, /^knet_peer_fault\{peer="h4",.*fault="dead"\} 1$/m);
  assert.match(metrics, /^knet_peer_up\{peer="h3",.*\} 0$/m);
});
