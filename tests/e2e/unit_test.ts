/**
 * The agent with the capabilities that dist/knet.service leaves it, and no others.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertFullMesh, containersOf, startCluster, threeVote } from "../support/cluster.ts";
import { STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

const test = labSuite({
  // One of two hosts that hold the store themselves is no majority.
  hosts: STORES[0] === "dqlite" ? 3 : 2,
  store: "sqlite",
  setUp: async (lab) => {
    const first = lab.host(1);
    first.joinArgs = [...first.joinArgs, "--ip-masq"];
    await first.sh("iptables -w -P FORWARD DROP");
    await startCluster(lab, { hosts: lab.hosts.slice(1), containers: 1 });
  },
});

const unit = new URL("../../dist/knet.service", import.meta.url);

test("9: the capabilities of knet.service are enough to join, heal and renumber", async (lab) => {
  const line = /^CapabilityBoundingSet=(.*)$/m.exec(await Deno.readTextFile(unit))![1]!;
  const set = line.split(" ").map((name) => `+${name.replace("CAP_", "").toLowerCase()}`);
  const host = lab.host(1);
  const agent = await host.join({
    wrapper: ["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set", `-all,${set}`],
  });
  const status = await Deno.readTextFile(`/proc/${agent.pid}/status`);
  assert.match(
    status,
    /^CapEff:\s+0000000000283000$/m,
    "NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN",
  );
  await host.attach("c1");
  // A container that is another user's process, by its id: what CAP_SYS_PTRACE is for.
  const process = host.spawn("unshare -n setpriv --reuid 65534 --clear-groups sleep 600");
  await until("the process has a namespace of its own", async () => {
    const own = (await host.run("readlink /proc/self/ns/net")).stdout;
    return (await host.run(`readlink /proc/${process.pid}/ns/net`)).stdout !== own;
  });
  await host.knet(`attach ${process.pid}`);
  await converged(lab.hosts);
  await assertFullMesh(containersOf(lab.hosts));

  await host.sh("ip link del knet.1; nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0");
  await until("the agent has healed it", async () => {
    await converged(lab.hosts);
    return (await host.run("nft list tables")).stdout.includes("knet");
  });
  await assertFullMesh(containersOf(lab.hosts));

  // The lease goes to another subnet: both containers are reached in their namespaces.
  const before = await host.subnet();
  await host.stop();
  await lab.host(2).knet("lease release h1 --force");
  await lab.host(2).knet(`lease reserve ${before} --public-ip 192.168.2.250`);
  const second = await host.join({
    wrapper: ["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set", `-all,${set}`],
  });
  await until(
    "both containers are renumbered",
    () => /Renumbered 2 containers, 0 cannot be reached/.test(second.stderr),
  );
  assert.notEqual(await host.subnet(), before);
  assert.doesNotMatch(agent.stderr + second.stderr, /EPERM|EACCES|permission/i);
});

/** Prints what programs tell the service manager at $NOTIFY_SOCKET. */
const MANAGER =
  `$|=1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!; print "ready\\n"; while (1) { $s->recv(my $d, 9999); print "$d\\n" }`;

test("9: a conflict ends a first start at once, and leaves a host that had joined in its network, waiting", async (lab) => {
  const host = lab.host(2);
  const socket = "/run/manager.sock";
  const manager = host.spawn(["perl", "-MIO::Socket::UNIX", "-MSocket", "-e", MANAGER, socket]);
  await until("it listens", () => manager.stdout.includes("ready"));
  if (lab.store === "dqlite") await threeVote(host);
  const contradicting = { env: { NOTIFY_SOCKET: socket }, wait: false };
  await host.stop();
  const before = await fingerprint(host);
  const args = ["--network", "10.77.0.0/16"];
  const waiting = await host.join({ ...contradicting, args });
  const told = "Tries again in 2 s: Cannot join: in this cluster, network is 10.244.0.0/16";
  await until("it waits", () => manager.stdout.includes(`STATUS=${told}`), {
    deadline: 30_000,
  });
  assert.doesNotMatch(manager.stdout, /STOPPING=1/, "who says that is killed if it goes on");
  assert.equal(await fingerprint(host), before);
  assert.equal(waiting.ended, undefined);
  assert.equal((await host.stop())?.code, 0);

  // As if it were the first time.
  await host.sh("rm /run/host/data/snapshot.json");
  const first = await host.join({ ...contradicting, args });
  await until("it ends", () => first.ended !== undefined, { deadline: 30_000 });
  assert.equal(first.ended?.code, 4, first.stderr);
  await host.join();
});
