/**
 * `knet trace` on real hosts: the whole way, and the step at which it breaks.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { TraceReport } from "../../core/inspect/trace/trace.ts";
import { startCluster } from "../support/cluster.ts";
import { exec } from "../support/exec.ts";
import type { Lab } from "../support/lab.ts";
import { OUTSIDE, STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { converged, identityOf } from "../support/walk.ts";

/** Seconds. */
const TTL = 6;

const test = labSuite({
  // One of two hosts that hold the store themselves is no majority.
  hosts: STORES[0] === "dqlite" ? 3 : 2,
  store: "sqlite",
  setUp: (lab) => startCluster(lab, { containers: 2, init: `--lease-ttl ${TTL}` }),
});

async function traced(lab: Lab, from: string, to: string): Promise<TraceReport & { code: number }> {
  const { code, stdout, stderr } = await lab.host(1).knet(["trace", from, to, "--json"], {
    check: false,
  });
  assert.ok(code <= 1 && stdout !== "", `exit status ${code}: ${stderr}`);
  return { ...JSON.parse(stdout) as TraceReport, code };
}

test("trace shows the walk with the live values of the kernel", async (lab) => {
  const [near, far] = [lab.host(1).containers[0]!, lab.host(2).containers[0]!];
  const { mac, vtep, subnet } = await identityOf(lab.host(2));
  const report = await traced(lab, "c1", far.address);
  assert.equal(report.code, 0);
  assert.deepEqual(
    report.steps.map(({ step, status }) => `${step} ${status}`),
    ["container", "bridge", "forwarding", "route", "neighbour", "fdb", "outer", "peer"]
      .map((step) => `${step} ok`),
  );
  const entry = (step: string) => report.steps.find((one) => one.step === step)?.entry ?? "";
  assert.match(entry("container"), /^0\.0\.0\.0\/0 via 10\.244\.\d+\.1 dev eth0/);
  assert.match(entry("route"), /onlink|nhid/);
  assert.ok(entry("route").startsWith(`${subnet} via ${vtep} dev knet.1`), entry("route"));
  assert.equal(entry("neighbour"), `${vtep} dev knet.1 lladdr ${mac} PERMANENT`);
  assert.equal(entry("fdb"), `${mac} dev knet.1 dst ${lab.host(2).address} self permanent`);
  assert.match(entry("outer"), new RegExp(`^${lab.host(2).address} dev eth0`));
  const outer = report.steps.find(({ step }) => step === "outer")!;
  assert.equal(
    outer.detail,
    `VXLAN: UDP from ${lab.host(1).address} to ${lab.host(2).address}:8472, VNI 1, by eth0`,
  );
  assert.equal(report.destination.node, "h2");

  const text = (await lab.host(1).knet(`trace ${near.address} ${far.address}`)).stdout;
  assert.ok(
    text.startsWith(`c1 (${near.address}) on h1 (${lab.host(1).address}) to ${far.address}`),
  );
  assert.match(text, /^5\. ok {4}neighbour: /m);
  assert.match(text, /Nothing on this host stands in the way$/m);
});

test("trace follows packets to containers of the same host and out of the cluster", async (lab) => {
  const local = await traced(lab, "c1", "c2");
  assert.deepEqual(local.steps.map(({ step }) => step), ["container", "bridge", "delivery"]);
  assert.equal(local.code, 0);
  const out = await traced(lab, "c1", OUTSIDE);
  const last = out.steps.at(-1)!;
  assert.deepEqual([last.step, last.status], ["outside", "warn"]);
  assert.match(last.remedy ?? "", /--ip-masq/);
  const nowhere = await traced(lab, "c1", "10.244.200.7");
  assert.deepEqual([nowhere.code, nowhere.steps.at(-1)!.step], [1, "peer"]);
  assert.match(nowhere.steps.at(-1)!.detail, /no host of the cluster/);
  const free = await traced(lab, "c1", lab.host(1).containers[0]!.address.replace(/\d+$/, "99"));
  assert.deepEqual([free.code, free.steps.at(-1)!.step], [1, "delivery"]);
});

test("trace says what is wrong with its words, status 2", async (lab) => {
  const far = lab.host(2).containers[0]!.address;
  for (
    const [line, says] of [
      ["trace nobody 10.244.0.2", /"nobody": it is no container of this host/],
      [`trace ${far} 10.244.0.2`, /it belongs to "h2" \(192\.168\.2\.102\)/],
      ["trace c1 nowhere", /no container of this host, and no address/],
    ] as const
  ) {
    const outcome = await lab.host(1).knet(line, { check: false });
    assert.equal(outcome.code, 2);
    assert.match(outcome.stderr, says);
  }
});

test("trace and container take the names of containers on any host, and name those that may be meant", async (lab) => {
  const [near, far] = [lab.host(1), lab.host(2)];
  const { address } = await far.attach("named", ["--name", "db", "--publish", "8081:81"]);
  const listed = async () =>
    (await near.knetJson<{ containers: { name: string; address: string; nodeName: string }[] }>(
      "container ls",
    )).containers.filter(({ name }) => name === "db").map((one) => [one.nodeName, one.address]);
  await until("the store knows the name", async () => (await listed()).length === 1);
  const report = await traced(lab, "c1", "db");
  const { name, node } = report.destination;
  assert.deepEqual([report.destination.address, name, node], [address, "db", "h2"]);
  assert.match((await near.knet("trace c1 db")).stdout, new RegExp(`to db \\(${address}\\) on h2`));
  const shown = (await near.knet("container show db")).stdout;
  assert.match(shown, new RegExp(`address +${address}\nhost +h2\n`));
  assert.match(shown, /ports +8081->81\/tcp/);

  const other = await near.attach("named", ["--name", "db"]);
  await until("the store knows both", async () => (await listed()).length === 2);
  for (const line of ["trace c1 db", "container show db"]) {
    const { code, stderr } = await near.knet(line, { check: false });
    assert.equal(code, 4);
    assert.ok(stderr.includes(`h1/db (${other.address}), h2/db (${address})`), stderr);
  }
  assert.equal((await traced(lab, "c1", "h2/db")).destination.address, address);
  assert.match(
    (await near.knet("trace db h2/db")).stdout,
    /^db \(/,
    "from here it can only be one",
  );
  const own = (await near.knet("container ls --node h2")).stdout;
  assert.ok(own.includes(address) && !own.includes(other.address), own);

  await Promise.all([near, far].map((host) => host.knet("detach named")));
  await until("what went is not listed", async () => (await listed()).length === 0);
  for (const host of [near, far]) {
    host.containers.pop();
    await host.run("ip netns delete named");
  }
});

/** What is broken, how it is mended, and what trace says of it. */
const BREAKS: readonly {
  readonly name: string;
  readonly script: string;
  readonly mend?: string;
  readonly step: string;
  readonly says: RegExp;
}[] = [
  {
    name: "ip_forward is 0",
    script: "sysctl -qw net.ipv4.ip_forward=0",
    step: "forwarding",
    says: /net\.ipv4\.ip_forward is 0/,
  },
  {
    name: "FORWARD drops",
    script: "iptables -w -P FORWARD DROP",
    mend: "iptables -w -P FORWARD ACCEPT",
    step: "forwarding",
    says: /FORWARD drops forwarded packets/,
  },
  {
    name: "the route is gone",
    script: "ip route del $SUBNET",
    step: "route",
    says: /no route of its own leads to/,
  },
  {
    name: "the neighbour is gone",
    script: "ip neigh del $VTEP dev knet.1",
    step: "neighbour",
    says: /has no permanent neighbour entry/,
  },
  {
    name: "the forwarding entry is gone",
    script: "bridge fdb del $MAC dev knet.1",
    step: "fdb",
    says: /no forwarding entry/,
  },
  {
    name: "the forwarding entry leads elsewhere",
    script: "bridge fdb replace $MAC dev knet.1 dst 192.168.2.77",
    step: "fdb",
    says: /is sent to 192\.168\.2\.77/,
  },
  {
    name: "the VXLAN device is down",
    script: "ip link set knet.1 down",
    step: "route",
    says: /no route of its own leads to/,
  },
  {
    name: "the bridge is down",
    script: "ip link set knet0 down",
    step: "bridge",
    says: /knet0 is down/,
  },
  {
    name: "the veth pair is out of the bridge",
    script: "for p in $(ls /sys/class/net | grep ^kv); do ip link set $p nomaster; done",
    step: "bridge",
    says: /is no port of knet0/,
  },
  {
    name: "the container's interface is down",
    script: "ip -n c1 link set eth0 down",
    mend: "ip -n c1 link set eth0 up; ip -n c1 route add default via $GATEWAY",
    step: "container",
    says: /eth0 of "c1" is down/,
  },
  {
    name: "the container has no route",
    script: "ip -n c1 route del default",
    mend: "ip -n c1 route add default via $GATEWAY",
    step: "container",
    says: /"c1" has no route/,
  },
  {
    name: "the underlay has no carrier",
    script: "ip -n $UNDERLAY link set h1 down",
    mend: "ip -n $UNDERLAY link set h1 up",
    step: "outer",
    says: /no route to|no carrier/,
  },
];

test("trace names the step at which the way breaks, and what to do", async (lab) => {
  const host = lab.host(1);
  const far = await identityOf(lab.host(2));
  const variables = `SUBNET=${far.subnet} VTEP=${far.vtep} MAC=${far.mac} ` +
    `GATEWAY=${(await host.subnetEnv())["KNET_SUBNET"]!.split("/")[0]} UNDERLAY=${lab.underlay}`;
  // The underlay's namespace is the machine's: host names of namespaces are the hosts' own.
  const run = (script: string) =>
    script.includes("$UNDERLAY")
      ? exec(["sh", "-ec", `${variables}; ${script}`])
      : host.sh(`${variables}; ${script}`);
  for (const { name, script, mend, step, says } of BREAKS) {
    // Without an agent nothing is mended meanwhile; its leaving changes nothing.
    await host.stop();
    await run(script);
    try {
      const report = await traced(lab, "c1", lab.host(2).containers[0]!.address);
      const last = report.steps.at(-1)!;
      assert.deepEqual([last.step, last.status], [step, "broken"], `${name}: ${last.detail}`);
      assert.match(last.detail, says, name);
      assert.ok(last.remedy, name);
      assert.equal(report.passes, false);
      assert.equal(report.code, 1);
    } finally {
      if (mend !== undefined) await run(mend);
      await host.join();
    }
    await converged(lab.hosts);
    const after = await traced(lab, "c1", lab.host(2).containers[0]!.address);
    assert.equal(after.code, 0, `${name}: the agent has mended it: ${JSON.stringify(after.steps)}`);
  }
});

test("trace says that the receiving host's lease is expired", async (lab) => {
  await lab.host(2).stop();
  const last = await until("its lease is expired", async () => {
    const report = await traced(lab, "c1", lab.host(2).containers[0]!.address);
    assert.equal(report.code, 0, "an expired peer is still reached");
    const peer = report.steps.at(-1)!;
    return peer.status === "warn" ? peer : undefined;
  });
  assert.match(last.value.detail, /its lease is expired/);
  assert.match(last.value.remedy ?? "", /knet lease release h2/);
});
