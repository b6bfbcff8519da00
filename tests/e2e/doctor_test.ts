/**
 * `knet doctor` on hosts where something is wrong: it names it, and leaves nothing behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import type { DoctorCheck, DoctorReport } from "../../core/inspect/doctor/doctor.ts";
import { exec } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import { knetProgram } from "../support/host.ts";
import { WITHOUT_NFNETLINK } from "../support/without_nfnetlink.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { fingerprint } from "../support/walk.ts";

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    await lab.init("--network 10.244.0.0/16", lab.host(2));
    await lab.host(2).join();
  },
});

async function doctor(host: Host): Promise<(check: string) => DoctorCheck> {
  const { stdout, code } = await host.knet("doctor --json", { check: false });
  const { checks } = JSON.parse(stdout) as DoctorReport;
  assert.equal(code, checks.some(({ status }) => status === "fail") ? 3 : 0);
  return (check) => {
    const found = checks.find((one) => one.check === check);
    assert.ok(found, `${check} among ${checks.map((one) => one.check).join(", ")}`);
    return found;
  };
}

test("doctor is content with a healthy host, joined or not, and changes nothing", async (lab) => {
  for (const host of lab.hosts) {
    const joined = host.agent !== undefined;
    const before = joined ? await fingerprint(host) : "";
    const rules = (await host.run("nft list ruleset")).stdout;
    const links = (await host.run("ip -br link")).stdout;
    const namespaces = (await exec("ip netns list")).stdout;
    const { stdout, code } = await host.knet("doctor --json", { check: false });
    const { checks } = JSON.parse(stdout) as DoctorReport;
    assert.equal(code, 0, stdout);
    const names = checks.map(({ check }) => check);
    for (
      const name of [
        "privileges",
        "libnl",
        "libnftables",
        "kernel: vxlan",
        "kernel: bridge",
        "kernel: veth",
        "kernel: next-hop objects",
        "kernel: nftables NAT",
        "store",
        "clock",
        "underlay",
        "forwarding",
        "rp_filter",
        "MTU",
        "VNI and port",
        "routes",
        "policy routing",
        "firewall: forwarding",
        "firewall: tunnel",
        "firewall: services",
        "systemd-networkd",
        "udev",
        "NetworkManager",
      ]
    ) assert.ok(names.includes(name), name);
    const machine = ["systemd-networkd", "udev", "NetworkManager", "rp_filter", "paths to peers"];
    // A host holds a store that it has joined, and no other.
    if (lab.store === "dqlite" && !joined) machine.push("store", "clock");
    for (const { check, status, detail } of checks) {
      if (!machine.includes(check)) assert.equal(status, "ok", `${check}: ${detail}`);
    }
    if (joined) assert.equal(await fingerprint(host), before);
    assert.equal((await host.run("nft list ruleset")).stdout, rules);
    assert.equal((await host.run("ip -br link")).stdout, links);
    assert.equal((await exec("ip netns list")).stdout, namespaces);
    assert.match((await host.knet("doctor")).stdout, /knet can work here/);
  }
});

/** What is done to a host, what takes it back, and what doctor says of it. */
const ILLS: readonly {
  readonly name: string;
  readonly script: string;
  readonly cure: string;
  readonly check: string;
  readonly status: "ok" | "warn" | "fail";
  readonly says: RegExp;
  readonly remedy: RegExp;
}[] = [
  {
    name: "another device has VNI and port",
    script: "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.2.101 dev eth0",
    cure: "ip link del flannel.1",
    check: "VNI and port",
    status: "fail",
    says: /"flannel\.1" owns them/,
    remedy: /--vni/,
  },
  {
    name: "a route overlaps",
    script: "ip route add 10.244.9.0/24 dev eth0",
    cure: "ip route del 10.244.9.0/24",
    check: "routes",
    status: "fail",
    says: /10\.244\.9\.0\/24 dev eth0 overlaps/,
    remedy: /another network/,
  },
  {
    name: "INPUT drops",
    script:
      "nft 'table inet guard { chain input { type filter hook input priority 0; policy drop; tcp dport 22 accept; }; }'",
    cure: "nft delete table inet guard",
    check: "firewall: tunnel",
    status: "warn",
    says: /inet guard input drops what comes in/,
    remedy: /nft insert rule inet guard input udp dport 8472 accept/,
  },
  {
    name: "ufw's chains drop",
    script:
      "nft 'table ip filter { chain ufw-before-input { }; chain INPUT { type filter hook input priority 0; policy drop; jump ufw-before-input; }; }'",
    cure: "nft delete table ip filter",
    check: "firewall: tunnel",
    status: "warn",
    says: /ip filter INPUT drops/,
    remedy: /ufw allow 8472\/udp/,
  },
  {
    name: "a chain drops that INPUT jumps to",
    script:
      "iptables -w -N CLOSED; iptables -w -A CLOSED -m limit --limit 3/min -j LOG; iptables -w -A CLOSED -j REJECT; iptables -w -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -w -A INPUT -i lo -j ACCEPT; iptables -w -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -w -A INPUT -j CLOSED",
    cure: "nft delete table ip filter",
    check: "firewall: tunnel",
    status: "warn",
    says: /ip filter INPUT drops what comes in, also UDP port 8472: from 192\.168\.2\.102$/,
    remedy: /nft insert rule ip filter INPUT udp dport 8472 accept/,
  },
  {
    name: "OUTPUT drops",
    script:
      "nft 'table inet guard { chain out { type filter hook output priority 0; policy drop; oifname lo accept; tcp dport 443 accept; }; }'",
    cure: "nft delete table inet guard",
    check: "firewall: tunnel",
    status: "warn",
    says: /inet guard out drops what goes out, also UDP port 8472: to 192\.168\.2\.102$/,
    remedy: /nft insert rule inet guard out udp dport 8472 accept/,
  },
  {
    name: "a chain rejects that FORWARD jumps to",
    script:
      "nft 'table inet guard { chain no { reject; }; chain pass { type filter hook forward priority 0; ip saddr 198.51.100.0/24 accept; jump no; }; }'",
    cure: "nft delete table inet guard",
    check: "firewall: forwarding",
    status: "ok",
    says: /inet guard pass drops; knet join adds its two rules there/,
    remedy: /^$/,
  },
  {
    name: "the underlay's MTU is tiny",
    script: "ip link set eth0 mtu 600",
    cure: "ip link set eth0 mtu 1500",
    check: "MTU",
    status: "fail",
    says: /550 bytes are left/,
    remedy: /Raise the MTU of eth0/,
  },
  {
    name: "two ways out with strict rp_filter",
    script:
      "ip link add way2 type veth peer name way2p; ip link set way2 up; ip link set way2p up; ip addr add 198.51.100.1/24 dev way2; ip route add default via 198.51.100.2 metric 50000; sysctl -qw net.ipv4.conf.all.rp_filter=1",
    cure: "ip link del way2; sysctl -qw net.ipv4.conf.all.rp_filter=0",
    check: "rp_filter",
    status: "warn",
    says: /strict on eth0.* by 2 interfaces/,
    remedy: /rp_filter=2/,
  },
];

/** Of a host that has not joined: where the agents hold the store, it knows none of the others. */
function ofAnybody(says: RegExp): RegExp {
  return new RegExp(says.source.replace(/(from|to) 192[\\.\d]+\$$/, "$1 peers$"));
}

for (const { name, script, cure, check, status, says, remedy } of ILLS) {
  test(`doctor finds: ${name}`, async (lab) => {
    const host = lab.host(1);
    await host.sh(script);
    try {
      const found = (await doctor(host))(check);
      assert.equal(found.status, status, found.detail);
      assert.match(found.detail, lab.store === "dqlite" ? ofAnybody(says) : says);
      assert.match(found.remedy ?? "", remedy);
    } finally {
      await host.sh(cure);
    }
  });
}

test("doctor and svc status say what ufw has to let through for services", async (lab) => {
  const host = lab.host(2);
  await host.knet("svc add web --vip 10.96.0.10 --port 80 --to 10.244.0.9:80");
  await host.sh(
    "nft 'table ip filter { chain ufw-before-input { }; chain INPUT { type filter hook input priority 0; policy drop; jump ufw-before-input; }; }'",
  );
  const says = /ufw allow from 10\.244\.0\.0\/16 to 10\.96\.0\.0\/16/;
  try {
    const found = (await doctor(host))("firewall: services");
    assert.equal(found.status, "warn", found.detail);
    assert.match(found.detail, /ip filter INPUT drops .*"web" \(10\.96\.0\.10, tcp port 80\)/);
    assert.match(found.remedy ?? "", says);
    await until(
      "svc status says it",
      async () => /^Warning: ufw manages/m.test((await host.knet("svc status")).stdout),
    );
    const { warnings } = await host.knetJson<ServicesReport>("svc status");
    // Where the kernel has IPVS, what services need is in it, too: tests/vm/services_test.ts.
    assert.match(warnings!.join(), /ufw allow 8472\/udp/);
  } finally {
    await host.sh("nft delete table ip filter");
    await host.knet("svc rm web");
  }
});

test("doctor finds a process on the tunnel's port", async (lab) => {
  const host = lab.host(1);
  const server = host.spawn([
    Deno.execPath(),
    "eval",
    "--unstable-net",
    "Deno.listenDatagram({ transport: 'udp', hostname: '0.0.0.0', port: 8472 }); console.log('ready'); setTimeout(() => {}, 60_000)",
  ]);
  await using _end = server;
  while (!server.stdout.includes("ready")) {
    assert.equal(server.ended, undefined, server.stderr);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const found = (await doctor(host))("VNI and port");
  assert.equal(found.status, "fail");
  assert.match(found.detail, /a process has a socket on UDP port 8472/);
});

test("doctor and join go on where the kernel gives no nfnetlink, and say so", async (lab) => {
  const host = lab.host(1);
  const wrapper = WITHOUT_NFNETLINK;
  const { stdout } = await host.knet("doctor --json", { check: false, wrapper });
  const { checks } = JSON.parse(stdout) as DoctorReport;
  const found = (check: string) => checks.find((one) => one.check === check);
  assert.equal(found("libnftables")?.status, "warn");
  assert.match(found("libnftables")?.detail ?? "", /EPROTONOSUPPORT.*ANYBODY/);
  assert.match(found("libnftables")?.remedy ?? "", /nfnetlink.*reboot/);
  assert.equal(found("kernel: vxlan")?.status, "ok");
  assert.equal(found("firewall: forwarding")?.status, "skip");
  const once = await host.joinOnce(["--ip-masq"], { check: false, wrapper });
  assert.equal(once.code, 3, once.stderr);
  assert.match(once.stderr, /Cannot masquerade \(--ip-masq\): .*EPROTONOSUPPORT/);
});

test("doctor works without root as far as it can, and says what it cannot see", async (lab) => {
  const host = lab.host(1);
  const line = [
    ...host.enter,
    "setpriv",
    "--bounding-set",
    "-all",
    "--inh-caps",
    "-all",
    ...knetProgram(),
    "doctor",
    "--json",
    "--store",
    "sqlite:/run/host/none.db",
  ];
  const { stdout, stderr, code } = await exec(line, { check: false });
  assert.equal(code, 3, stderr);
  const { checks } = JSON.parse(stdout) as DoctorReport;
  const of = (check: string) => checks.find((one) => one.check === check)!;
  assert.equal(of("privileges").status, "fail");
  assert.equal(of("libnl").status, "ok");
  assert.equal(of("underlay").status, "ok");
  assert.match(of("kernel: vxlan").detail, /^(not seen without|the kernel has it, by its list)/);
  assert.match(of("store").detail, /there is no database/);
  await assert.rejects(Deno.stat(host.path("/run/host/none.db")), Deno.errors.NotFound);
});
