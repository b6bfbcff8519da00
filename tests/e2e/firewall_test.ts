/**
 * Acceptance 11, and what knet's firewall does and does not do: forged datagrams, masquerading,
 * forwarding where others drop.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Capture } from "../support/capture.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import type { Container } from "../support/container.ts";
import { exec } from "../support/exec.ts";
import { forgedDatagram, forgeLine } from "../support/forge.ts";
import {
  docker28Rules,
  docker29Rules,
  DOCKER_RULES,
  NO_DOCKER_RULES,
} from "../support/foreigners.ts";
import { type Lab, OUTSIDE } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { sleep, until } from "../support/wait.ts";
import { identityOf } from "../support/walk.ts";

const test = labSuite({
  hosts: 3,
  store: "sqlite",
  setUp: async (lab) => {
    const [first, second, third] = lab.hosts;
    first!.joinArgs = [...first!.joinArgs, "--ip-masq"];
    await second!.sh(DOCKER_RULES);
    for (const hook of ["FORWARD", "INPUT", "OUTPUT"]) {
      await third!.run(`iptables -w -P ${hook} DROP`);
    }
    await letStoreThrough(lab);
    await second!.sh(NATIVE_RULES);
    await startCluster(lab, { containers: 1 });
  },
});

/** As for any store: the third host has to reach it before there is a network, and its answers have to get out. */
async function letStoreThrough(lab: Lab): Promise<void> {
  if (lab.store !== "dqlite") return;
  for (const side of ["OUTPUT -p tcp --dport", "OUTPUT -p tcp --sport", "INPUT -p tcp --sport"]) {
    await lab.host(3).run(`iptables -w -A ${side} 8473 -j ACCEPT`);
  }
}

/** What comes in is dropped by a chain that another one jumps to. */
const NATIVE_RULES = `nft 'table inet host {
  chain rest { ip6 nexthdr icmpv6 accept; counter drop; }
  chain in { type filter hook input priority 10; ct state established,related accept; iifname "lo" accept; goto rest; }
}'`;

const PORT = 9;

test("11: a forged VXLAN datagram from a host that is no peer never reaches a container", async (lab) => {
  const [near, far] = [lab.host(1), lab.host(2)];
  const [target, source] = [near.containers[0]!, far.containers[0]!];
  const stranger = await lab.addStranger("x", "192.168.2.66");
  const payload = forgedDatagram({
    vni: 1,
    sourceMac: (await identityOf(far)).mac,
    destinationMac: (await identityOf(near)).mac,
    source: source.address,
    destination: target.address,
    port: PORT,
  });
  const line = forgeLine(near.address, 8472, payload, 3);

  const forged = await Capture.start(target.enter, "eth0", `udp port ${PORT}`);
  await using _first = forged;
  await exec(["ip", "netns", "exec", stranger, ...line]);
  await sleep(300);
  assert.equal((await forged.frames()).length, 0, "datagrams of the stranger in the container");

  // The very same bytes from a peer arrive: the forgery itself is right.
  const genuine = await Capture.start(target.enter, "eth0", `udp port ${PORT}`);
  await using _second = genuine;
  await far.run(line);
  await sleep(300);
  assert.equal((await genuine.frames(3)).length, 3, "datagrams of the peer in the container");
});

/** Source addresses that `to` sees in pings of `from`. */
async function sourcesOf(from: Container, to: Container): Promise<Set<string>> {
  const capture = await Capture.start(to.enter, "eth0", "icmp[0] = 8");
  await using _end = capture;
  await from.run(`ping -n -q -c 2 -i 0.05 ${to.address}`);
  return new Set((await capture.frames()).map((frame) => frame.subarray(26, 30).join(".")));
}

test("11: --ip-masq masquerades what leaves the cluster network, and nothing that stays inside", async (lab) => {
  const [near, far] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  assert.ok(await near.ping(OUTSIDE), "the world outside answers under --ip-masq");
  assert.ok(!await far.ping(OUTSIDE), "and not without it");
  assert.deepEqual(await sourcesOf(near, far), new Set([near.address]));
  assert.equal((await lab.host(1).subnetEnv())["KNET_IPMASQ"], "true");
  assert.equal((await lab.host(2).subnetEnv())["KNET_IPMASQ"], "false");
});

test("11: containers reach each other where FORWARD drops, with Docker's chains and without", async (lab) => {
  await assertFullMesh(containersOf(lab.hosts));
  const rules = async (n: number) => (await lab.host(n).run("iptables -w -S")).stdout;
  const docker = await rules(2);
  assert.match(docker, /-A DOCKER-USER .*-s 10\.244\.0\.0\/16|-A DOCKER-USER -s 10\.244\.0\.0\/16/);
  assert.match(docker, /-A DOCKER-USER .*-d 10\.244\.0\.0\/16|-A DOCKER-USER -d 10\.244\.0\.0\/16/);
  assert.match(await rules(3), /-A FORWARD .*knet/);
  assert.doesNotMatch(await rules(1), /knet/, "no rules where nothing drops");
});

test("11: the tunnel gets through where INPUT and OUTPUT drop, again after a flush, and strangers do not", async (lab) => {
  const [second, third] = [lab.host(2), lab.host(3)];
  const iptables = async () => (await third.run("iptables -w -S")).stdout;
  assert.match(await iptables(), /-A INPUT -p udp .*--dport 8472 .*knet/);
  assert.match(await iptables(), /-A OUTPUT -p udp .*--dport 8472 .*knet/);
  const native = async () => (await second.run("nft list table inet host")).stdout;
  assert.match(await native(), /chain in \{[^}]*udp dport 8472 .*accept comment "knet"/);
  // Nothing beside: there are no services.
  assert.doesNotMatch(await iptables(), /-A (INPUT|OUTPUT) .*10\.244/);

  await third.run("iptables -w -F");
  await letStoreThrough(lab);
  await second.sh(`nft delete table inet host; ${NATIVE_RULES}`);
  await until("the rules are back", async () => {
    assert.match(await iptables(), /-A INPUT .*knet/);
    assert.match(await native(), /knet/);
    return true;
  });
  await assertFullMesh(containersOf(lab.hosts));
  const before = (await third.run("nft list chain ip knet guard")).stdout;
  assert.match(before, /saddr != @peers counter packets \d+ bytes \d+ drop/, "only peers, still");
});

test("11: what a host's own route leads to in the service network is reached, and said; the rest is refused", async (lab) => {
  const host = lab.host(1);
  const container = host.containers[0]!;
  const router = await lab.addStranger("y", "192.168.2.67");
  await exec(`ip -n ${router} addr add 10.96.200.1/32 dev lo`);
  await host.run("ip route add 10.96.200.0/24 via 192.168.2.67 proto static");
  await until("it is left out", () => container.ping("10.96.200.1"));
  await exec(`ip -n ${router} addr add 10.96.201.1/32 dev lo`);
  await host.run("ip route add 10.0.0.0/8 via 192.168.2.67");
  assert.match((await host.knet("status")).stdout, /10\.96\.200\.0\/24 is not refused/);
  assert.ok(!await container.ping("10.96.201.1"), "a wider route says nothing of services");
  // An address of the host in it, too.
  await host.run("ip addr add 10.96.202.1/32 dev lo");
  await until("it is left out", async () => {
    assert.match((await host.knet("status")).stdout, /10\.96\.200\.0\/24, 10\.96\.202\.1\/32/);
    return true;
  });
  await host.sh(
    "ip route del 10.96.200.0/24; ip route del 10.0.0.0/8; ip addr del 10.96.202.1/32 dev lo",
  );
  await until("all of it is refused again", async () => {
    assert.doesNotMatch((await host.knet("status")).stdout, /not refused/);
    return true;
  });
});

test("11: a container reaches itself behind a translated address where bridges call iptables", async (lab) => {
  const host = lab.host(1);
  const [container] = host.containers;
  const { address } = container!;
  // As IPVS and published ports do it; Docker sets the parameter.
  await host.sh(`set -e
    sysctl -qw net.bridge.bridge-nf-call-iptables=1
    nft 'table ip reflected {
      chain pre { type nat hook prerouting priority -100; ip daddr 10.77.0.1 dnat to ${address}; }
      chain post { type nat hook postrouting priority 100; ip saddr ${address} ip daddr ${address} masquerade; }
    }'`);
  try {
    assert.ok(await container!.ping("10.77.0.1"), "by the port that it came in by");
    const ports = (await host.run("bridge -d link show")).stdout;
    assert.match(ports, /kv[0-9a-f]+[^]*hairpin on/);
  } finally {
    await host.sh("nft delete table ip reflected; sysctl -qw net.bridge.bridge-nf-call-iptables=0");
  }
});

test("11: containers of all hosts reach each other beside the rules of Docker 28 and 29, and published ports lead in", async (lab) => {
  const [host, other] = [lab.host(2), lab.host(1)];
  const [container] = host.containers;
  const server = container!.spawn(["busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hello"]);
  await using _end = server;
  const fetch = async (address: string, port: number) => {
    await until(`${address}:${port} answers`, async () => {
      const line = ["busybox", "nc", "-w", "1", address, `${port}`];
      return (await other.run(line, { check: false })).stdout === "hello\n";
    });
  };
  const flows = async () => {
    await assertFullMesh(containersOf(lab.hosts));
    await fetch(container!.address, 80);
    await fetch(host.address, 8088);
  };
  await host.sh(docker28Rules(container!.address));
  await flows();
  await host.sh(NO_DOCKER_RULES);
  await host.sh(docker29Rules(container!.address));
  await flows();
  // knet's table comes back beside Docker's, which is left alone.
  await host.run("nft delete table ip knet");
  await until("knet's table is back", async () => {
    return (await host.run("nft list tables")).stdout.includes("table ip knet");
  });
  await flows();
  await host.run("nft delete table ip docker-bridges");
});

test("11: FORWARD that begins to drop later gets the rules, and leave takes them away", async (lab) => {
  const host = lab.host(1);
  await host.run("iptables -w -P FORWARD DROP");
  await until("the rules are there", async () => {
    assert.match((await host.run("iptables -w -S FORWARD")).stdout, /knet/);
    return true;
  });
  await assertFullMesh(containersOf(lab.hosts));
  for (const one of lab.hosts) {
    await one.leave();
    assert.doesNotMatch((await one.run("iptables -w -S")).stdout, /knet/);
    assert.doesNotMatch((await one.run("nft list tables")).stdout, /knet/);
  }
});
