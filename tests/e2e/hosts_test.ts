/**
 * Hosts as they are: with an underlay that comes late, VPNs, several addresses, an address on lo, and copies of themselves.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { vxlanCase } from "../support/backend.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  backend: vxlanCase,
  setUp: (lab) => startCluster(lab, { containers: 1 }),
});

const warningsOf = async (host: Host) =>
  (await host.knetJson<StatusReport>("status")).warnings.join("\n");

/** What the VXLAN device sends from, and its MTU. */
async function tunnel(host: Host): Promise<string> {
  const [link] = await host.json<
    { mtu: number; linkinfo: { info_data: { local: string; link: string } } }[]
  >("ip -j -d link show knet.1");
  const { local, link: under } = link!.linkinfo.info_data;
  return `${local} ${under} ${link!.mtu}`;
}

test("a copy of a joined host is refused, and the original keeps its lease", async (lab) => {
  const original = lab.host(1);
  const copy = await lab.addHost({ machineId: original.machineId });
  await copy.sh("rm -rf /run/host/data");
  await Deno.symlink(original.path("/run/host/data"), `${lab.directory}/original`);
  await copy.run(["cp", "-a", `${lab.directory}/original/`, "/run/host/data"]);
  const subnet = await original.subnet();
  const agent = await copy.join({ wait: false });
  await until("the copy ends", () => agent.ended !== undefined);
  assert.equal(agent.ended?.code, 4, agent.stderr);
  assert.match(
    agent.stderr,
    /: "h1" at 192\.168\.2\.101 runs with the same/,
  );
  lab.hosts.pop();
  await copy[Symbol.asyncDispose]();
  assert.equal(original.agent?.ended, undefined);
  const { warnings, node, agent: state } = await original.knetJson<StatusReport>("status");
  assert.deepEqual([node.subnet, warnings], [subnet, []]);
  assert.doesNotMatch(state.state, /taken over/);
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));
});

test("a host that was booted again comes back at once, and stops at once while it asks for its lease", async (lab) => {
  const host = lab.host(2);
  const subnet = await host.subnet();
  await host.reboot();
  const asking = await host.join();
  await until("it asks", () => asking.stderr.includes("Asking whether another host"));
  const start = performance.now();
  await host.stop();
  const stopped = performance.now() - start;
  assert.ok(stopped < 2000, `SIGTERM took ${ms(stopped)}`);
  assert.doesNotMatch(asking.stderr, /Holding/);
  const begun = performance.now();
  const agent = await host.join();
  const ready = performance.now() - begun;
  await until("it has its lease", () => agent.stderr.includes(`Holding ${subnet} (kept)`));
  report(
    `a rebooted host is ready after ${ms(ready)}, has its lease after ${
      ms(performance.now() - begun)
    }`,
  );
  await host.attach("c1");
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));
});

test("an agent with a snapshot waits for its underlay, and goes on when it comes", async (lab) => {
  const host = lab.host(2);
  await host.stop();
  await host.run("ip link set eth0 down");
  await host.run("ip addr flush dev eth0");
  const agent = await host.join({ wait: false });
  await until("it says what it waits for", async () => {
    assert.match(
      (await host.knet("status")).stdout,
      /Waiting for the underlay: .* no default route/,
    );
    return true;
  });
  assert.match((await host.get("/readyz")).body, /underlay/);
  assert.equal(agent.ended, undefined);
  await host.run("ip link set eth0 up");
  await host.run(`ip addr add ${host.address}/24 dev eth0`);
  await host.run(`ip route add default via ${host.options.router}`);
  await host.ready();
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));
  assert.equal(await warningsOf(host), "");
});

/** What VPNs do to routes: a better default route, halves of all, all private addresses; and a blackhole for those. */
async function connectVpn(host: Host): Promise<void> {
  await host.sh(`ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up
    ip link set vpn0 up; ip addr add 172.30.0.2/24 dev vpn0
    ip route del default; ip route add default via ${host.options.router} metric 100
    ip route add default via 172.30.0.1 metric 1
    ip route add 0.0.0.0/1 via 172.30.0.1; ip route add 128.0.0.0/1 via 172.30.0.1
    ip route add 10.0.0.0/8 via 172.30.0.1; ip route add blackhole 10.128.0.0/9`);
}

test("a VPN's routes move no tunnel, neither of a running agent nor of the next one", async (lab) => {
  const host = lab.host(2);
  await connectVpn(host);
  const stays = async () => {
    await converged(lab.hosts);
    assert.equal(await tunnel(host), `${host.address} eth0 1450`);
    await assertFullMesh(containersOf(lab.hosts));
  };
  await stays();
  await host.stop();
  await host.join();
  await stays();
  const warnings = await warningsOf(host);
  assert.match(warnings, /10\.0\.0\.0\/8 dev vpn0 is wider than 10\.244\.0\.0\/16/);
  assert.match(warnings, /blackhole 10\.128\.0\.0\/9 is wider/);
  const doctor = (await host.knet("doctor", { check: false })).stdout;
  assert.match(doctor, /192\.168\.2\.102 on eth0.*the way out leads by vpn0 now/);
  assert.match(doctor, /10\.0\.0\.0\/8 dev vpn0 is wider/);
  await host.sh(`ip link del vpn0; ip route del blackhole 10.128.0.0/9
    ip route del default; ip route add default via ${host.options.router}`);
});

test("a host joins for the first time in spite of a VPN's routes", async (lab) => {
  const host = await lab.addHost({ name: "h4", address: "192.168.2.104" });
  await connectVpn(host);
  await host.run("ip route del default metric 1");
  await host.join();
  await converged(lab.hosts);
  assert.equal(await tunnel(host), `${host.address} eth0 1450`);
  assert.match(host.agent!.stderr, /route 10\.0\.0\.0\/8 dev vpn0 is wider than 10\.244\.0\.0\/16/);
  await host.attach("c1");
  await assertFullMesh(containersOf(lab.hosts));
  await host.leave();
  lab.hosts.pop();
  await host[Symbol.asyncDispose]();
  await converged(lab.hosts);
});

test("hosts that get each other's address keep their subnets, and are reached by the new ones", async (lab) => {
  const [one, two] = lab.hosts as [Host, Host];
  const subnets = [await one.subnet(), await two.subnet()];
  const swap = async () => {
    const [first, second] = [one.address, two.address];
    await one.run("ip addr flush dev eth0");
    for (const [host, address] of [[two, first], [one, second]] as const) {
      await host.sh(
        `ip addr flush dev eth0; ip addr add ${address}/24 dev eth0; ip route replace default via ${host.options.router}`,
      );
      host.address = address;
    }
  };
  const settled = async () => {
    for (const host of lab.hosts) {
      await until(`${host.name} sends from its address`, async () => {
        return (await tunnel(host)).startsWith(`${host.address} `);
      });
    }
    await until("no host minds", async () => {
      return (await warningsOf(one)) + (await warningsOf(two)) === "";
    });
    await converged(lab.hosts);
    await assertFullMesh(containersOf(lab.hosts));
    assert.deepEqual([await one.subnet(), await two.subnet()], subnets);
  };
  await swap();
  await settled();
  for (const host of lab.hosts) await host.stop();
  await swap();
  const { stdout } = await one.knet("join --dry-run");
  assert.match(stdout, /h2 has that address/);
  await Promise.all(lab.hosts.map((host) => host.join()));
  await settled();
});

test("an address that is lost for a moment is come back to, also past keepalived's", async (lab) => {
  const host = lab.host(2);
  await host.run("ip addr add 192.168.2.200/32 dev eth0");
  await host.run(`ip addr del ${host.address}/24 dev eth0`);
  await until("it has the virtual address", async () => (await tunnel(host)).includes("2.200"));
  await host.run(`ip addr add ${host.address}/24 dev eth0`);
  await until("it is back", async () => (await tunnel(host)).startsWith(`${host.address} `));
  await host.run("ip addr del 192.168.2.200/32 dev eth0");
  await host.sh(
    `ip route show default | grep -q . || ip route add default via ${host.options.router}`,
  );
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));
});

test("--public-ip of another interface is what the tunnel sends from, and --iface may not contradict it", async (lab) => {
  const host = lab.host(2);
  await lab.addInterface(host, "eth1", 1);
  await host.run("ip addr add 192.168.2.142/25 dev eth1");
  await host.stop();
  const args = ["--iface", "eth0", "--public-ip", "192.168.2.142"];
  const refused = await host.joinOnce(args, { check: false });
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /--iface "eth0" with --public-ip 192\.168\.2\.142.* on eth1/);
  await host.join({ args: ["--public-ip", "192.168.2.142"] });
  await until("eth1 carries it", async () => await tunnel(host) === "192.168.2.142 eth1 1450");
  await until(
    "h1 knows it by that address",
    async () =>
      (await lab.host(1).run("bridge fdb show dev knet.1")).stdout.includes("192.168.2.142"),
  );
  await assertFullMesh(containersOf(lab.hosts));
  await host.stop();
  await host.run("ip link del eth1");
  await host.join();
  await until(
    "it is on eth0 again",
    async () => (await tunnel(host)).startsWith(`${host.address} `),
  );
  await converged(lab.hosts);
});

test("with --iface lo the MTU is that of the way out, and follows it", async (lab) => {
  const [first, host] = [lab.host(1), lab.host(2)];
  await first.run(`ip route add 10.255.0.2/32 via ${host.address}`);
  await host.run("ip addr add 10.255.0.2/32 dev lo");
  await host.stop();
  await host.join({ args: ["--iface", "lo"] });
  await until("lo carries it", async () => await tunnel(host) === "10.255.0.2 lo 1450");
  await until("the other host knows where it is now", async () => {
    const { peers } = await first.knetJson<StatusReport>("status");
    return peers[0]?.publicIp === "10.255.0.2";
  });
  await assertFullMesh(containersOf(lab.hosts));
  assert.match(
    (await host.knet("doctor", { check: false })).stdout,
    /on lo.*packets leave by eth0/,
  );
  await host.run("ip link set eth0 mtu 1400");
  await until("the tunnel's MTU follows", async () => (await tunnel(host)).endsWith(" 1350"));
  await host.run("ip link set eth0 mtu 1500");
  await until("and back", async () => (await tunnel(host)).endsWith(" 1450"));
});
