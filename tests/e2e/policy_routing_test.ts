/**
 * What leads packets past knet's routes, or drops them on their way in: doctor names it, and trace tells a loss from another way.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { DoctorCheck, DoctorReport } from "../../core/inspect/doctor/doctor.ts";
import type { TraceReport } from "../../core/inspect/trace/trace.ts";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { identityOf } from "../support/walk.ts";

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: (lab) => startCluster(lab, { containers: 1 }),
});

async function traced(lab: Lab, from: string, to: string): Promise<TraceReport & { code: number }> {
  const { code, stdout, stderr } = await lab.host(1).knet(["trace", from, to, "--json"], {
    check: false,
  });
  assert.ok(code <= 1 && stdout !== "", `exit status ${code}: ${stderr}`);
  return { ...JSON.parse(stdout) as TraceReport, code };
}

async function doctored(host: Host, check: string): Promise<DoctorCheck> {
  const { stdout } = await host.knet("doctor --json", { check: false });
  const { checks } = JSON.parse(stdout) as DoctorReport;
  const found = checks.find((one) => one.check === check);
  assert.ok(found, `${check} among ${checks.map((one) => one.check).join(", ")}`);
  return found;
}

/** What leads past knet's routes, or refuses: what doctor says of it, and at which step and how trace does. */
const POLICIES: readonly {
  readonly name: string;
  readonly script: string;
  readonly mend: string;
  readonly doctor: "warn" | "fail";
  readonly says: RegExp;
  readonly remedy?: string;
  readonly trace: "ok" | "warn" | "broken";
}[] = [
  {
    name: "a table of a VPN, before the main one",
    script: "ip route add 10.0.0.0/8 dev ts0 table 52; ip rule add lookup 52 priority 5270",
    mend: "ip rule del priority 5270; ip route flush table 52",
    doctor: "fail",
    says:
      /packets to "h2" .* led by the rule "5270: from all lookup 52" to the route 10\.0\.0\.0\/8 of table 52 to ts0/,
    remedy: "ip rule add to 10.244.0.0/16 lookup main priority 5269",
    trace: "warn",
  },
  {
    name: "a rule that refuses",
    script: "ip rule add to $SUBNET prohibit priority 100",
    mend: "ip rule del priority 100",
    doctor: "fail",
    says:
      /packets to "h2" .* are refused by the rule "100: from all to 10\.244\.\d+\.0\/24 prohibit"/,
    trace: "broken",
  },
  {
    name: "a blackhole in another table",
    script: "ip route add blackhole default table 53; ip rule add iif knet0 lookup 53 priority 100",
    mend: "ip rule del priority 100; ip route flush table 53",
    doctor: "fail",
    says: /are (refused|led)/,
    trace: "broken",
  },
  {
    name: "a table for the way back",
    script: "ip route add $OWN dev ts0 table 52; ip rule add iif knet.1 lookup 52 priority 100",
    mend: "ip rule del priority 100; ip route flush table 52",
    doctor: "fail",
    says:
      /packets of other hosts' containers to those of this host are led by the rule "100: from all iif knet\.1 lookup 52"/,
    trace: "ok",
  },
  {
    name: "one container's own rule",
    script: "ip route add default dev ts0 table 52; ip rule add from $OTHER lookup 52 priority 100",
    mend: "ip rule del priority 100; ip route flush table 52",
    doctor: "warn",
    says:
      /The rule "100: from 10\.244\.\d+\.77 lookup 52" leads packets for 0\.0\.0\.0\/0 by table 52/,
    trace: "ok",
  },
];

test("doctor names the rule that leads past knet's routes, and trace does not call that a loss", async (lab) => {
  const host = lab.host(1);
  const far = lab.host(2).containers[0]!.address;
  const own = (await identityOf(host)).subnet;
  const variables = `OWN=${own} OTHER=${own.replace(/0\/24$/, "77")} SUBNET=${
    (await identityOf(lab.host(2))).subnet
  }`;
  await host.sh("ip link add ts0 type veth peer name ts1; ip link set ts0 up; ip link set ts1 up");
  assert.equal((await doctored(host, "policy routing")).status, "ok");
  try {
    for (const { name, script, mend, doctor, says, remedy, trace } of POLICIES) {
      await host.sh(`${variables}; ${script}`);
      try {
        const [found, report] = await Promise.all([
          doctored(host, "policy routing"),
          traced(lab, "c1", far),
        ]);
        assert.equal(found.status, doctor, `${name}: ${found.detail}`);
        assert.match(found.detail, says, name);
        const route = report.steps.find(({ step }) => step === "route")!;
        assert.equal(route.status, trace, `${name}: ${route.detail}`);
        assert.equal(report.code, trace === "broken" ? 1 : 0, name);
        if (remedy === undefined) continue;
        assert.ok(found.remedy?.endsWith(remedy), found.remedy);
        await host.sh(remedy);
        assert.equal((await doctored(host, "policy routing")).status, "ok", `${name}: ${remedy}`);
        assert.equal((await traced(lab, "c1", far)).steps.at(-1)!.step, "peer");
        await host.sh(remedy.replace(" add ", " del "));
      } finally {
        await host.sh(mend);
      }
    }
  } finally {
    await host.sh("ip link del ts0");
  }
  assert.equal((await doctored(host, "policy routing")).status, "ok");
});

test("doctor warns of rp_filter where it loses containers' packets, and only there", async (lab) => {
  const host = lab.host(1);
  const reaches = async () =>
    (await lab.host(2).run(`ip netns exec c1 ping -c1 -W1 ${host.address}`, { check: false }))
      .code === 0;
  for (
    const [all, own, lost] of [[0, 0, false], [0, 1, true], [1, 0, true], [1, 2, false]] as const
  ) {
    await host.sh(
      `sysctl -qw net.ipv4.conf.all.rp_filter=${all} net.ipv4.conf.eth0.rp_filter=${own}`,
    );
    const found = await doctored(host, "rp_filter");
    const which = `all ${all}, eth0 ${own}: ${found.detail}`;
    assert.equal(await reaches(), !lost, which);
    assert.equal(found.status, lost ? "warn" : "ok", which);
    if (!lost) continue;
    assert.match(found.detail, /containers on "h2" to this host's own address 192\.168\.2\.101/);
    assert.match(found.remedy ?? "", /conf\.eth0\.rp_filter=2, or join all hosts with --ip-masq/);
  }
  await host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0");
  const { steps } = await traced(lab, "c1", lab.host(2).address);
  assert.match(steps.at(-1)!.detail, /"h2" has another way back .* rp_filter is 1/);
});

test("trace tells this host's own addresses from those outside, and whether INPUT drops", async (lab) => {
  const host = lab.host(1);
  const last = async (to: string) => (await traced(lab, "c1", to)).steps.at(-1)!;
  const own = await last(host.address);
  assert.deepEqual([own.step, own.status], ["delivery", "ok"], own.detail);
  const nobodys = await last("10.96.7.7");
  assert.deepEqual([nobodys.step, nobodys.status], ["service", "broken"], nobodys.detail);
  await host.sh(
    "iptables -w -N CLOSED; iptables -w -A CLOSED -j DROP; iptables -w -A INPUT -i knet0 -j CLOSED",
  );
  try {
    const closed = await last(host.address);
    assert.deepEqual([closed.step, closed.status], ["delivery", "broken"], closed.detail);
    assert.match(closed.detail, /ip filter INPUT drops it/);
  } finally {
    await host.sh("iptables -w -F INPUT; iptables -w -F CLOSED; iptables -w -X CLOSED");
  }
});
