// One host's services on a real kernel: programming, drift, ownership, removal.
// Longer than others: one story of one kernel, which takes long to start.
import assert from "node:assert/strict";
import { checkFirewall } from "../../core/kernel/firewall/firewall.ts";
import { SCHEDULERS } from "../../core/services/service.ts";
import { ipvsNamespaceTest } from "../support/ipvs.ts";
import { real, virtual, World } from "./world.ts";

const WEB = virtual("web 10.96.0.1:80", ["10.244.1.5:8080", "10.244.2.5:8080,w3"]);
const DNS = virtual("dns 10.96.0.1:53", ["10.244.1.6:53"], { protocol: "udp" });
const SIX = virtual("six [fd00:96::1]:80", ["[fd00:244::5]:80"], { scheduler: "sh" });

ipvsNamespaceTest(
  "reconcile() makes virtual IPs, virtual servers, masquerading and sysctls",
  async (n) => {
    using world = await World.alone(n);
    const done = world.reconcile(WEB, DNS, SIX);
    assert.deepEqual(done.problems, []);
    assert.equal(done.operations, 7);
    const table = await n.run("ipvsadm -Ln");
    assert.match(table, /TCP {2}10\.96\.0\.1:80 rr\n/);
    assert.match(table, /-> 10\.244\.2\.5:8080 +Masq +3 /);
    assert.match(table, /UDP {2}10\.96\.0\.1:53 rr\n/);
    assert.match(table, /TCP {2}\[fd00:96::1\]:80 sh\n/);
    const addresses = await n.run("ip -o addr show dev knet-ipvs0");
    assert.match(addresses, /inet 10\.96\.0\.1\/32 /);
    assert.match(addresses, /inet6 fd00:96::1\/128 /);
    assert.doesNotMatch(addresses, /fe80/);
    assert.match(await n.run("ip link show knet-ipvs0"), /BROADCAST,NOARP,UP/);
    assert.match(await n.run("ip route get 10.96.0.1"), /src 10\.244\.1\.1/);
    assert.match(await n.run("nft list table ip knet"), /10\.96\.0\.1 \. 80/);
    assert.equal((await n.run("sysctl -n net.ipv4.vs.conntrack")).trim(), "1");
    assert.equal(n.within(() => checkFirewall(world.nft, world.firewall())), undefined);
    assert.equal(world.check(), undefined);
  },
);

ipvsNamespaceTest(
  "reconcile() sends one message for one weight, and none for nothing",
  async (n) => {
    using world = await World.alone(n);
    world.reconcile(WEB, DNS);
    let before = world.kernel.messages;
    assert.equal(world.reconcile(WEB, DNS).operations, 0);
    assert.equal(world.check(), undefined);
    assert.equal(world.kernel.messages, before);
    before = world.kernel.messages;
    const heavier = virtual("web 10.96.0.1:80", ["10.244.1.5:8080,w9", "10.244.2.5:8080,w3"]);
    assert.equal(world.reconcile(heavier, DNS).operations, 1);
    assert.equal(world.kernel.messages, before + 1);
    assert.match(await n.run("ipvsadm -Ln"), /10\.244\.1\.5:8080 +Masq +9/);
    assert.equal(world.check(), undefined);
  },
);

ipvsNamespaceTest("a new agent rewrites nothing that is right, and sends no message", async (n) => {
  using world = await World.alone(n);
  const limited = virtual("big 10.96.0.2:80", [real("10.244.1.5:80", { upper: 10, lower: 5 })], {
    scheduler: "mh",
    schedulerFlags: ["mh-port"],
  });
  world.reconcile(WEB, DNS, SIX, limited);
  world.restart();
  assert.equal(world.reconcile(WEB, DNS, SIX, limited).operations, 0);
  assert.equal(world.kernel.messages, 0);
  assert.equal(world.check(), undefined);
  assert.equal(world.kernel.messages, 0);
});

ipvsNamespaceTest(
  "a new agent sees what /proc hides: thresholds and scheduler flags",
  async (n) => {
    using world = await World.alone(n);
    const with_ = (upper: number, flag: boolean) =>
      virtual("big 10.96.0.2:80", [real("10.244.1.5:80", { upper })], {
        scheduler: "sh",
        schedulerFlags: flag ? ["sh-port"] : [],
      });
    world.reconcile(with_(10, false));
    world.restart();
    assert.equal(world.reconcile(with_(20, true)).operations, 2);
    assert.match(await n.run("ipvsadm -Ln --thresholds"), /10\.244\.1\.5:80 +20 /);
    assert.match(await n.run("ipvsadm -Sn"), /-b sh-port/);
  },
);

ipvsNamespaceTest(
  "what was removed while no agent ran goes at its start, foreign ones stay",
  async (n) => {
    using world = await World.alone(n);
    world.reconcile(WEB, DNS);
    await n.run("ipvsadm -A -t 10.96.0.77:80 -s wlc");
    await n.run("ipvsadm -A -f 5 -s rr");
    world.restart();
    assert.equal(world.reconcile(DNS).operations, 1);
    const table = await n.run("ipvsadm -Ln");
    assert.doesNotMatch(table, /TCP {2}10\.96\.0\.1:80/);
    assert.match(table, /UDP {2}10\.96\.0\.1:53/);
    assert.match(table, /TCP {2}10\.96\.0\.77:80 wlc/);
    assert.match(table, /FWM {2}5 rr/);
    const rows = n.within(() => world.kernel.rows());
    assert.deepEqual(rows.map((row) => [row.service, row.state]), [
      ["dns", "ok"],
      [undefined, "foreign"],
      [undefined, "foreign"],
    ]);
    n.within(() => world.kernel.removeAll());
    const left = await n.run("ipvsadm -Ln");
    assert.doesNotMatch(left, /UDP/);
    assert.match(left, /10\.96\.0\.77/);
    assert.match(left, /FWM/);
    await assert.rejects(n.run("ip link show knet-ipvs0"));
  },
);

ipvsNamespaceTest(
  "a foreign virtual server of the same address is left alone until it is gone",
  async (n) => {
    using world = await World.alone(n);
    await n.run("ipvsadm -A -t 10.96.0.1:80 -s wlc");
    const { problems, operations } = world.reconcile(WEB, DNS);
    assert.equal(operations, 2);
    assert.match(problems[0]!, /"web" is left out: the kernel has a virtual server .* not knet's/);
    assert.match(await n.run("ipvsadm -Ln"), /TCP {2}10\.96\.0\.1:80 wlc\nUDP|wlc\n$/);
    assert.equal(world.check(), undefined);
    await n.run("ipvsadm -D -t 10.96.0.1:80");
    assert.match(world.check()!.why, /foreign virtual server is gone/);
    assert.match(await n.run("ipvsadm -Ln"), /TCP {2}10\.96\.0\.1:80 rr/);
    assert.deepEqual(world.kernel.problems, []);
  },
);

ipvsNamespaceTest("adopt takes over a foreign virtual server of the same address", async (n) => {
  using world = await World.alone(n, { adopt: () => true });
  await n.run("ipvsadm -A -t 10.96.0.1:80 -s wlc");
  await n.run("ipvsadm -a -t 10.96.0.1:80 -r 10.244.9.9:80 -m");
  assert.deepEqual(world.reconcile(WEB).problems, []);
  const table = await n.run("ipvsadm -Ln");
  assert.match(table, /TCP {2}10\.96\.0\.1:80 rr/);
  assert.doesNotMatch(table, /10\.244\.9\.9/);
  world.reconcile();
  assert.doesNotMatch(await n.run("ipvsadm -Ln"), /TCP {2}10/);
});

const INJURIES: readonly [name: string, command: string][] = [
  ["the dummy device deleted", "ip link delete knet-ipvs0"],
  ["the dummy device down", "ip link set knet-ipvs0 down"],
  ["a virtual IP deleted", "ip addr del 10.96.0.1/32 dev knet-ipvs0"],
  ["a virtual IP added", "ip addr add 10.96.9.9/32 dev knet-ipvs0"],
  [
    "the source of the host's own requests deleted",
    "ip route del local 10.96.0.1 table local proto 107",
  ],
  ["a virtual server deleted", "ipvsadm -D -t 10.96.0.1:80"],
  ["a real server deleted", "ipvsadm -d -t 10.96.0.1:80 -r 10.244.1.5:8080"],
  ["a real server added", "ipvsadm -a -t 10.96.0.1:80 -r 10.244.7.7:80 -m"],
  ["a weight changed", "ipvsadm -e -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 44"],
  ["a scheduler changed", "ipvsadm -E -t 10.96.0.1:80 -s lc"],
  ["everything cleared", "ipvsadm -C"],
];

ipvsNamespaceTest("check() heals every injury, and sees none afterwards", async (n) => {
  using world = await World.alone(n);
  world.reconcile(WEB, DNS, SIX);
  assert.equal(world.check(), undefined);
  const state = async () =>
    [
      ...(await n.run("ipvsadm -Sn")).split("\n"),
      ...(await n.run("ip -o addr")).replaceAll(/^\d+:/gm, "").split("\n")
        .filter((line) => line.includes("knet-ipvs0")),
      ...(await n.run("ip route show table local")).split("\n"),
    ].sort();
  const right = await state();
  for (const [name, command] of INJURIES) {
    await n.run(command);
    assert.notDeepEqual(await state(), right, name);
    const healed = world.check();
    assert.notEqual(healed, undefined, name);
    assert.deepEqual(healed!.failures, [], name);
    assert.deepEqual(await state(), right, name);
    assert.equal(world.check(), undefined, name);
  }
});

ipvsNamespaceTest("persistence is known for what it is, and healed", async (n) => {
  using world = await World.alone(n);
  const sticky = [
    virtual("sticky 10.96.0.20:80", ["10.244.1.5:80"], { persistent: 300, persistenceNetmask: 24 }),
    virtual("short 10.96.0.21:80", ["10.244.1.5:80"], { persistent: 61 }),
  ];
  world.reconcile(...sticky);
  assert.equal(world.check(), undefined);
  world.restart();
  world.reconcile(...sticky);
  assert.equal(world.check(), undefined);
  assert.equal(world.kernel.messages, 0);
  await n.run("ipvsadm -E -t 10.96.0.20:80 -s rr -p 600 -M 255.255.255.0");
  assert.match(world.check()!.why, /10\.96\.0\.20 80 tcp was changed/);
  assert.match(await n.run("ipvsadm -Sn"), /10\.96\.0\.20:80 -s rr -p 300 -M 255\.255\.255\.0/);
  assert.equal(world.check(), undefined);
});

ipvsNamespaceTest("what the kernel refuses spoils nothing beside", async (n) => {
  using world = await World.alone(n);
  await n.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
  // A subnet's last address is a broadcast address on the host that has the subnet.
  const half = virtual("half 10.96.0.30:80", ["10.244.1.5:80", "10.244.1.255:80"]);
  const timeouts = { tcp: 2 ** 31 - 1, tcpfin: 120, udp: 300 };
  const done = world.set({ virtualServers: [half, SIX, WEB], timeouts });
  for (
    const problem of [
      /^Service "half": .*10\.244\.1\.255/,
      /^Service "six" lacks its virtual IP/,
      /^Timeouts/,
    ]
  ) {
    assert.equal(done.problems.filter((one) => problem.test(one)).length, 1, `${done.problems}`);
  }
  const table = async () => await n.run("ipvsadm -Sn");
  assert.match(await table(), /-a -t 10\.96\.0\.30:80 -r 10\.244\.1\.5:80/);
  assert.match(await n.run("ip -o addr show dev knet-ipvs0"), /10\.96\.0\.30\/32/);
  // Tried again at longer and longer intervals, not with each look.
  const looks = Array.from({ length: 12 }, () => world.check());
  assert.ok(looks.filter((one) => one !== undefined).length <= 4);
  assert.match(await table(), /10\.96\.0\.30:80/);
  assert.deepEqual(world.reconcile().problems, []);
  assert.doesNotMatch(await table(), /10\.96/);
});

ipvsNamespaceTest("another host's address is no virtual IP", async (n) => {
  using world = await World.alone(n);
  const peers = new Set<string>();
  const { peers: _, ...host } = world.host;
  world.kernel.configure({ ...host, nodeId: "test", peers });
  const service = virtual("peer 10.96.0.40:80", ["10.244.1.5:80"]);
  assert.deepEqual(world.reconcile(service).problems, []);
  assert.equal(world.kernel.dependsOnPeers, false);
  peers.add("10.96.0.40");
  assert.equal(world.kernel.dependsOnPeers, true);
  assert.match(
    world.reconcile(service).problems[0]!,
    /10\.96\.0\.40 is an address of another host/,
  );
  assert.doesNotMatch(await n.run("ip -o addr"), /10\.96\.0\.40/);
  peers.clear();
  assert.equal(world.kernel.dependsOnPeers, true);
  assert.deepEqual(world.reconcile(service).problems, []);
  assert.match(await n.run("ip -o addr"), /10\.96\.0\.40/);
});

ipvsNamespaceTest("a lost record takes nothing away", async (n) => {
  using world = await World.alone(n);
  await n.run("ipvsadm -A -t 10.96.0.77:80 -s wlc");
  world.reconcile(WEB, DNS);
  await Deno.remove(`${world.dataDir}/kernel-services.json`);
  world.restart();
  const foreign = virtual("foreign 10.96.0.77:80", ["10.244.1.5:80"]);
  const { problems, operations } = world.reconcile(WEB, DNS, foreign);
  assert.match(problems.join(), /^Service "foreign" is left out: .*that is not knet's$/);
  assert.equal(operations, 0);
  assert.equal(world.check(), undefined);
  world.reconcile();
  assert.equal((await n.run("ipvsadm -Sn")).trim(), "-A -t 10.96.0.77:80 -s wlc");
});

ipvsNamespaceTest("checkVips() heals what the kernel announces, and nothing else", async (n) => {
  using world = await World.alone(n);
  const look = () => n.within(() => world.kernel.checkVips());
  world.reconcile(WEB, DNS);
  assert.equal(look(), undefined);
  await n.run("ip link add other type bridge");
  await n.run("ipvsadm -D -t 10.96.0.1:80");
  assert.equal(look(), undefined);
  await n.run("ip addr delete 10.96.0.1/32 dev knet-ipvs0");
  assert.equal(look()?.why, "virtual IPs are not as they should be");
  assert.match(await n.run("ip -o addr show dev knet-ipvs0"), /10\.96\.0\.1\/32/);
  assert.equal(look(), undefined);
  await n.run("ip link delete knet-ipvs0");
  assert.notEqual(look(), undefined);
  assert.match(await n.run("ip -o addr show dev knet-ipvs0"), /10\.96\.0\.1\/32/);
  assert.notEqual(world.check(), undefined);
  assert.match(await n.run("ipvsadm -Sn"), /-A -t 10\.96\.0\.1:80/);
});

ipvsNamespaceTest("the kernel takes all schedulers, with their flags", async (n) => {
  using world = await World.alone(n);
  const servers = SCHEDULERS.map((scheduler, index) =>
    virtual(`s${index} 10.96.1.${index + 1}:80`, ["10.244.1.5:80"], {
      scheduler,
      schedulerFlags: scheduler === "sh"
        ? ["sh-fallback", "sh-port"]
        : scheduler === "mh"
        ? ["mh-fallback", "mh-port"]
        : [],
    })
  );
  assert.deepEqual(world.reconcile(...servers).problems, []);
  const table = await n.run("ipvsadm -Ln");
  for (const scheduler of SCHEDULERS) assert.match(table, new RegExp(`:80 ${scheduler}\\b`));
});

ipvsNamespaceTest(
  "a service that the kernel refuses is named, and the others are there",
  async (n) => {
    using world = await World.alone(n);
    const odd = virtual("odd 10.96.0.9:80", ["10.244.1.5:80"], {
      scheduler: "nosuch" as "rr",
    });
    const { problems } = world.reconcile(odd, WEB);
    assert.deepEqual(problems.length, 1);
    assert.match(problems[0]!, /no such scheduler \(module ip_vs_nosuch\)/);
    assert.match(await n.run("ipvsadm -Ln"), /TCP {2}10\.96\.0\.1:80 rr/);
    const own = virtual("own 10.244.1.1:80", ["10.244.1.5:80"]);
    assert.match(
      world.reconcile(own, WEB).problems[0]!,
      /10\.244\.1\.1 is an address of this host/,
    );
  },
);

ipvsNamespaceTest("timeouts are set once, and given back", async (n) => {
  using world = await World.alone(n);
  const timeouts = { tcp: 700, tcpfin: 0, udp: 33 };
  world.set({ virtualServers: [WEB], timeouts });
  assert.match(await n.run("ipvsadm -L --timeout"), /700 120 33/);
  const before = world.kernel.messages;
  world.set({ virtualServers: [WEB], timeouts });
  assert.equal(world.kernel.messages, before);
  world.set({ virtualServers: [WEB], timeouts: { ...timeouts, tcp: 0 } });
  assert.match(await n.run("ipvsadm -L --timeout"), /900 120 33/);
  n.within(() => world.kernel.removeAll());
  assert.match(await n.run("ipvsadm -L --timeout"), /900 120 300/);
});
