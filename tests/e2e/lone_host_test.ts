/**
 * What else is on a host: another knet, a bridge that somebody else made, containers that play the router, hosts without IPv6.
 *
 * @module
 */
import assert from "node:assert/strict";
import { vxlanCase } from "../support/backend.ts";
import { startCluster } from "../support/cluster.ts";
import { type Host, knetProgram } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { sleep, until } from "../support/wait.ts";
import { fingerprint } from "../support/walk.ts";

const test = labSuite({
  hosts: 1,
  store: "sqlite",
  backend: vxlanCase,
  setUp: (lab) => startCluster(lab, { containers: 1 }),
});

/** A second knet on a host: its own directories, store, bridge, VNI and port. */
function second(host: Host, ...args: string[]) {
  const dirs = ["--state-dir", "/run/host/second", "--data-dir", "/run/host/second-data"];
  return host.run(
    ["env", "KNET_STORE=sqlite:/run/host/second.db", ...knetProgram(), ...args, ...dirs],
    { check: false },
  );
}

const JOIN = [
  "join",
  "--once",
  "--network",
  "10.77.0.0/16",
  ...["--bridge", "knet9", "--vni", "9", "--port", "8479"],
];

test("another knet on the same host is refused by name and touches nothing, after a crash of the first too", async (lab) => {
  const host = lab.host(1);
  const before = await fingerprint(host);
  const refused = async () => {
    const { code, stderr } = await second(host, ...JOIN);
    assert.equal(code, 4, stderr);
    assert.match(
      stderr,
      /another knet, of the data directory "\/run\/host\/data", has this network/,
    );
    assert.match(stderr, /knet leave --data-dir \/run\/host\/data/);
    assert.equal(await fingerprint(host), before);
  };
  await refused();
  await host.stop("SIGKILL");
  await refused();
  // Nor does it take down what it never had.
  await second(host, "leave");
  assert.equal(await fingerprint(host), before);
  await host.join();
  assert.equal(await fingerprint(host), before);
});

test("when the first knet has left, the second joins, and then the first is the one that is refused", async (lab) => {
  const host = lab.host(1);
  const container = host.containers[0]!.name;
  await host.leave();
  const { code, stderr } = await second(host, ...JOIN);
  assert.equal(code, 0, stderr);
  const alias = async (device: string) =>
    (await host.json<{ ifalias?: string }[]>(`ip -j link show ${device}`))[0]?.ifalias ?? "";
  for (const device of ["knet9", "knet.9"]) {
    assert.match(await alias(device), /^knet \S+ \/run\/host\/second-data$/);
  }
  const first = await host.knet(["join", "--once", ...host.joinArgs], { check: false });
  assert.equal(first.code, 4, first.stderr);
  assert.match(first.stderr, /second-data/);
  // A leave of the first, which has nothing here, leaves the second whole: routes, rules and devices.
  await host.knet("leave", { check: false });
  await host.run("ip link show knet.9");
  await host.run("nft list table ip knet");
  await host.run("ip link set knet9 alias mine");
  assert.equal((await second(host, ...JOIN)).code, 0, "a mark that was taken away is no reason");
  assert.match(await alias("knet9"), /^knet /);
  assert.equal((await second(host, "leave")).code, 0);
  await assert.rejects(host.run("ip link show knet9"));
  await host.join();
  await host.run(`ip netns delete ${container}`);
  await host.attach(container);
});

test("a bridge that somebody else made keeps its IPv6, its note and itself", async (lab) => {
  const host = lab.host(1);
  await host.leave();
  await host.sh(`
    ip link add cni0 type bridge
    ip link set cni0 up
    ip addr add 2001:db8:5::1/64 dev cni0 nodad
    ip link add p0 type veth peer name p1
    ip link set p0 master cni0 up
    ip link set p1 up`);
  const join = ["--bridge", "cni0"];
  await host.join({ args: join });
  const kept = async () => {
    const { stdout } = await host.sh(
      "ip -6 addr show dev cni0; cat /proc/sys/net/ipv6/conf/cni0/disable_ipv6",
    );
    assert.match(stdout, /2001:db8:5::1\/64/);
    assert.match(stdout, /\n0\n$/);
  };
  await kept();
  const { stdout } = await host.run("ip -4 addr show dev cni0");
  assert.match(stdout, /inet 10\.244\./, "the gateway of containers");
  await sleep(1500); // The agent sets its parameters again every second.
  await kept();
  await host.leave();
  await kept();
  const after = await host.sh("ip -d link show cni0; ip -4 addr show dev cni0; ip link show p0");
  assert.doesNotMatch(after.stdout, /alias|inet /);
  assert.match(after.stdout, /master cni0/);
  await host.run("ip link delete p0");
  await host.run("ip link delete cni0");
  await host.join();
});

test("a bridge that is none is refused, and the device of that name stays", async (lab) => {
  const host = lab.host(1);
  await host.leave();
  await host.sh(
    "ip link add link eth0 name eth0.7 type vlan id 7 || ip link add eth0.7 type veth peer name v7",
  );
  const { code, stderr } = await host.knet("join --once --bridge eth0.7", { check: false });
  assert.equal(code, 2, stderr);
  assert.match(stderr, /Cannot use "eth0\.7" as bridge/);
  await host.run("ip link show eth0.7");
  await assert.rejects(host.run("ip link show knet.1"), "nothing else was made");
  await host.run("ip link delete eth0.7");
  await host.join();
});

test("an agent's data directory is not used by another agent, nor taken down, with another state directory", async (lab) => {
  const host = lab.host(1);
  const before = await fingerprint(host);
  const run = async (...args: string[]) => {
    const { code, stderr } = await host.knet([...args, "--state-dir", "/run/host/other"], {
      check: false,
    });
    assert.equal(code, 1, stderr);
    assert.equal(await fingerprint(host), before);
    return stderr;
  };
  assert.match(await run("join", "--once", ...host.joinArgs), /another agent runs on this host/);
  assert.match(await run("leave"), /runs with another state directory.*\n.*--state-dir/);
  assert.equal((await host.get("/readyz")).status, 200);
});

/** What knet sets of links, as the kernel has it. */
async function shapes(host: Host, ...names: string[]): Promise<unknown[]> {
  const rows = await Promise.all(
    names.map((name) => host.run(`ip -d -j link show ${name}`, { check: false })),
  );
  return rows.map(({ stdout }) => {
    const [link] = JSON.parse(stdout.trim() || "[]") as Record<string, unknown>[];
    const { mtu, address, master, ifalias, inet6_addr_gen_mode, linkinfo, flags } = link ?? {};
    const { info_slave_data } = (linkinfo ?? {}) as { info_slave_data?: { hairpin: boolean } };
    const up = (flags as string[] | undefined)?.includes("UP");
    const hairpin = info_slave_data?.hairpin;
    return { mtu, address, master, ifalias, inet6_addr_gen_mode, hairpin, up };
  });
}

test("what somebody changes of a container's end, of the bridge and of the device is undone within two seconds", async (lab) => {
  const host = lab.host(1);
  await host.attach("walk");
  const { stdout } = await host.sh("ls /sys/class/net/knet0/brif | grep ^kv | tail -n 1");
  const port = stdout.trim();
  const now = () => shapes(host, port, "knet0", "knet.1");
  const before = await now();
  for (
    const change of [
      `${port} nomaster`,
      `${port} down`,
      `${port} mtu 1300`,
      `${port} address 02:00:00:00:00:77`,
      `${port} type bridge_slave hairpin off`,
      "knet0 mtu 1280",
      "knet0 address 02:00:00:00:00:78",
      "knet0 addrgenmode eui64",
      "knet.1 alias mine",
      "knet0 down",
    ]
  ) {
    await host.run(`ip link set ${change}`);
    const start = performance.now();
    await until(`"${change}" is undone`, async () => {
      assert.deepEqual(await now(), before);
      return true;
    });
    assert.ok(performance.now() - start < 2000, change);
  }
});

const advertise = (name: string) => [
  Deno.execPath(),
  ...["run", "-q", "-A", new URL("../support/advertise.ts", import.meta.url).pathname],
  ...[name, "5"],
];

test("a router advertisement from a container changes nothing on the host", async (lab) => {
  const host = lab.host(1);
  const container = await host.attach("router");
  const six = async () => (await host.sh("ip -6 route; ip -6 addr show scope global")).stdout;
  // A container with the capability may turn IPv6 on on its own side.
  await container.run([
    "sh",
    "-ec",
    `echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
     echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
     ip link set eth0 down; ip link set eth0 up
     ip -6 addr add fe80::bad/64 dev eth0 nodad 2> /dev/null || true`,
  ]);
  const before = await six();
  await container.run(advertise("eth0"));
  await sleep(300);
  assert.equal(await six(), before);
  assert.doesNotMatch(before, /default/);
  // What would come of it on a link that is not knet's: the advertisement is a real one.
  await host.sh(`
    ip link add x0 type veth peer name x1
    ip link set x1 netns ${container.name}
    echo 1 > /proc/sys/net/ipv6/conf/x0/accept_ra
    echo 0 > /proc/sys/net/ipv6/conf/x0/accept_dad
    ip link set x0 up
    ip netns exec ${container.name} ip link set x1 up
    ip netns exec ${container.name} ip -6 addr add fe80::bad/64 dev x1 nodad`);
  await until("the control takes the advertisement", async () => {
    await container.run(advertise("x1"));
    return /default via fe80::bad dev x0/.test(await six());
  });
  await host.run("ip link delete x0");
});

test("attach works where the veth has no part in IPv6: without IPv6 on the host, and with an MTU below 1280", async (lab) => {
  const host = lab.host(1);
  await host.sh(
    "for c in all default; do echo 1 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done",
  );
  const off = await host.attach("v6off");
  assert.ok(await off.ping((await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!));
  await host.sh(
    "for c in all default; do echo 0 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done",
  );
  // 1200 bytes of the underlay, and so less than IPv6 takes.
  await host.run("ip link set eth0 mtu 1200");
  await until(
    "the overlay's MTU follows",
    async () => (await host.subnetEnv())["KNET_MTU"] === "1150",
  );
  const small = await host.attach("small");
  assert.ok(await small.pingFull((await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]!, 1150));
  await host.run("ip link set eth0 mtu 1500");
});
