/**
 * The tunnel's guard: each way there is to the tunnel's port that is not a peer's, tried with packets that would arrive.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type BackendCase, udpCase, vxlanCase } from "../support/backend.ts";
import { Capture } from "../support/capture.ts";
import { startCluster } from "../support/cluster.ts";
import type { Container } from "../support/container.ts";
import { exec } from "../support/exec.ts";
import { forgedDatagram, forgeLine } from "../support/forge.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { report, sleep, until } from "../support/wait.ts";
import { identityOf } from "../support/walk.ts";

/** Nobody on any host, and no member of its groups. */
const NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups";
/** An address of the target's host that no peer knows. */
const SECOND = "192.168.2.242";
const BROADCAST =
  `undef $/; socket(S, PF_INET, SOCK_DGRAM, 0); setsockopt(S, SOL_SOCKET, SO_BROADCAST, 1); send(S, <STDIN>, 0, sockaddr_in($ARGV[0], inet_aton("192.168.2.255"))) or die $!`;
/** Of the inner packets; which one tells the attack that it comes from. */
const FIRST_PORT = 9000;

/** Bytes that become a packet for a container if the tunnel takes them. */
async function payloadFor(
  backend: BackendCase,
  from: Container,
  to: Container,
  port: number,
): Promise<Uint8Array> {
  const destinationMac = backend.type === "udp"
    ? "ff:ff:ff:ff:ff:ff"
    : (await identityOf(to.host)).mac;
  const whole = forgedDatagram({
    ...{ vni: 1, sourceMac: "02:00:00:00:00:09", destinationMac },
    ...{ source: from.address, destination: to.address, port },
  });
  return backend.type === "udp" ? whole.slice(22) : whole;
}

/** Another program's network on a host, as Docker makes it: a bridge, a container, addresses that are translated. */
async function otherNetwork(host: Host, peer: string, port: number): Promise<string[]> {
  await host.sh(`set -e
    ip netns add other
    ip link add br9 type bridge
    ip addr add 172.18.0.1/24 dev br9
    ip link set br9 up
    ip link add ve9 master br9 type veth peer name eth0 netns other
    ip link set ve9 up
    ip -n other addr add 172.18.0.2/24 dev eth0
    ip -n other link set eth0 up
    ip -n other link set lo up
    ip -n other route add default via 172.18.0.1
    for name in all br9; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
    iptables -w -t nat -A POSTROUTING -s 172.18.0.0/24 ! -o br9 -j MASQUERADE
    iptables -w -t nat -A PREROUTING -i br9 -p udp --dport 7777 -j DNAT --to ${peer}:${port}`);
  return [...host.enter, "ip", "netns", "exec", "other"];
}

interface Attack {
  readonly what: string;
  readonly target: Host;
  run(payload: Uint8Array): Promise<unknown>;
}

async function attacksOf(lab: Lab, port: number): Promise<Attack[]> {
  const [near, far, third] = [lab.host(1), lab.host(2), lab.host(3)];
  const container = near.containers[0]!;
  const other = await otherNetwork(near, far.address, port);
  await far.run(`ip addr add ${SECOND}/24 dev eth0`);
  // A container that may forge addresses.
  await container.run(`ip addr add ${third.address}/32 dev lo`);
  await exec([...other, "ip", "addr", "add", `${third.address}/32`, "dev", "lo"]);
  await near.sh(`for name in all knet0; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done`);
  const send =
    (enter: readonly string[], to: string, at = port, from?: string) => (payload: Uint8Array) =>
      exec([...enter, ...forgeLine(to, at, payload, 2, from)]);
  const asUser = (to: string) => async (payload: Uint8Array) => {
    const file = near.path("/run/payload");
    await Deno.writeFile(file, payload, { mode: 0o644 });
    await near.sh(`${NOBODY} /bin/bash -c 'cat /run/payload > /dev/udp/${to}/${port}' || true`);
  };
  return [
    { what: "a container, masqueraded", target: far, run: send(container.enter, far.address) },
    {
      what: "a container that forges a peer's address",
      target: far,
      run: send(container.enter, far.address, port, third.address),
    },
    {
      what: "a container that forges a peer's address, to its own host",
      target: near,
      run: send(container.enter, near.address, port, third.address),
    },
    {
      what: "a container of another bridge, masqueraded",
      target: far,
      run: send(other, far.address),
    },
    {
      what: "a container of another bridge that forges a peer's address",
      target: far,
      run: send(other, far.address, port, third.address),
    },
    {
      what: "a container of another bridge that forges a peer's address, to its own host",
      target: near,
      run: send(other, near.address, port, third.address),
    },
    {
      what: "a container by a published port that leads to a peer's tunnel",
      target: far,
      run: send(other, "172.18.0.1", 7777),
    },
    { what: "a user of the host", target: far, run: asUser(far.address) },
    // Where no guard of the sender's host looks: the kernel's tunnel takes what comes to any address.
    {
      what: "a container, masqueraded, to another address of the peer",
      target: far,
      run: send(container.enter, SECOND),
    },
    {
      what: "a user of the host, to another address of the peer",
      target: far,
      run: asUser(SECOND),
    },
    {
      what: "a user of the host, by broadcast",
      target: far,
      run: async (payload) => {
        await Deno.writeFile(near.path("/run/payload"), payload, { mode: 0o644 });
        await near.sh(`${NOBODY} perl -MSocket -e '${BROADCAST}' ${port} < /run/payload`);
      },
    },
    { what: "a user of the host, to its own address", target: near, run: asUser(near.address) },
    { what: "a user of the host, to the loopback", target: near, run: asUser("127.0.0.1") },
  ];
}

/** Ports of what arrived in a container. */
function portsOf(frames: readonly Uint8Array[]): number[] {
  return [...new Set(frames.map((frame) => frame[36]! * 256 + frame[37]!))];
}

for (const backend of [vxlanCase, udpCase]) {
  const port = backend.type === "udp" ? 8285 : 8472;
  const test = labSuite({
    hosts: 3,
    store: "sqlite",
    backend,
    setUp: async (lab) => {
      lab.host(1).joinArgs = [...lab.host(1).joinArgs, "--ip-masq"];
      await startCluster(lab, { containers: 1 });
    },
  });

  test(`guard, ${backend.name}: nothing enters the tunnel but from a peer's host`, async (lab) => {
    const [near, far] = [lab.host(1), lab.host(2)];
    const attacks = await attacksOf(lab, port);
    const filter = `udp and portrange ${FIRST_PORT}-${FIRST_PORT + 99}`;
    const captures = new Map<Host, Capture>();
    for (const host of [near, far]) {
      captures.set(host, await Capture.start(host.containers[0]!.enter, "eth0", filter));
    }
    try {
      for (const [n, { target, run }] of attacks.entries()) {
        const from = (target === near ? lab.host(3) : near).containers[0]!;
        await run(await payloadFor(backend, from, target.containers[0]!, FIRST_PORT + n));
      }
      // The same bytes by root of a peer's host arrive: the forgery is right.
      const genuine = FIRST_PORT + 50;
      await near.run(
        forgeLine(
          far.address,
          port,
          await payloadFor(backend, near.containers[0]!, far.containers[0]!, genuine),
          2,
        ),
      );
      // And so does what a user of the host sends into the overlay.
      const honest = FIRST_PORT + 60;
      const { address } = far.containers[0]!;
      await near.sh(`${NOBODY} /bin/bash -c 'echo hello > /dev/udp/${address}/${honest}'`);
      await sleep(500);
      const arrived = new Map<Host, number[]>();
      for (const [host, capture] of captures) arrived.set(host, portsOf(await capture.frames()));
      for (const [n, { what, target }] of attacks.entries()) {
        assert.ok(!arrived.get(target)!.includes(FIRST_PORT + n), what);
      }
      assert.deepEqual(arrived.get(far)!.sort(), [genuine, honest]);
    } finally {
      for (const capture of captures.values()) await capture[Symbol.asyncDispose]();
    }
  });
}

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: (lab) => startCluster(lab, { containers: 1, hosts: lab.hosts.slice(0, 1) }),
});

test("guard: another VXLAN on the same port goes on, whoever it leads to", async (lab) => {
  const near = lab.host(1);
  const stranger = await lab.addStranger("x", "192.168.2.66");
  const device = (own: string, remote: string, inner: string) =>
    `ip link add flannel.7 type vxlan id 7 dstport 8472 local ${own} remote ${remote} dev eth0
     ip addr add ${inner}/24 dev flannel.7
     ip link set flannel.7 up`;
  await near.sh(device(near.address, "192.168.2.66", "10.77.0.1"));
  await exec([
    "ip",
    "netns",
    "exec",
    stranger,
    "sh",
    "-ec",
    device("192.168.2.66", near.address, "10.77.0.2"),
  ]);
  await until(
    "the other VXLAN works",
    async () => (await near.run("ping -n -c 1 -W 1 10.77.0.2")).stdout.includes(" 0% packet loss"),
  );
});

test("guard: without it there is no tunnel, and flushed rules come back", async (lab) => {
  const [near, late] = [lab.host(1), lab.host(2)];
  // Somebody else owns a table of that name: knet's transaction is refused.
  const owner = late.spawn(["nft", "-i"]);
  await owner.write("add table ip knet { flags owner; }\n");
  await until(
    "the table is there",
    async () => (await late.run("nft list tables")).stdout.includes("table ip knet"),
  );
  const refused = await late.join({ wait: false });
  await until("it is refused", () => refused.ended !== undefined);
  assert.match(refused.stderr, /Cannot guard the tunnel's port: /);
  assert.doesNotMatch((await late.run("ip -o link")).stdout, /knet\.1/);
  await owner.stop();

  const begin = performance.now();
  await near.run("nft flush ruleset");
  await until(
    "the guard is back",
    async () => (await near.run("nft list ruleset")).stdout.includes("chain guard-forward"),
  );
  report(`guard: back within ${Math.round(performance.now() - begin)} ms of nft flush ruleset`);
});
