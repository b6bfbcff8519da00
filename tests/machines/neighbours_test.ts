/**
 * Beside what else administers a host's network: networkd, firewalls of all kinds, settings of the kernel, a clock that jumps.
 *
 * @module
 */
import assert from "node:assert/strict";
import { until } from "../support/wait.ts";
import type { Host } from "./host.ts";
import type { Machine } from "./machine.ts";
import {
  addressIn,
  addService,
  attach,
  machineSuite,
  removeService,
  untilReached,
  untilTrue,
} from "./suite.ts";

const test = machineSuite(2, { setUp: (machines) => machines.join() });

test("a restart and a reconfiguration by systemd-networkd leave routes and next hops", async ({ hosts }) => {
  const [one] = hosts;
  const before = await network(one!);
  await one!.sh(
    "systemctl restart systemd-networkd; networkctl reload; networkctl reconfigure enp0s4; sleep 5",
  );
  await untilReached(hosts);
  await until("all is as before", async () => {
    assert.equal(await network(one!), before);
    return true;
  }, { deadline: 60_000 });
  assert.match(await one!.read("networkctl list --no-pager"), /knet\.1\s+vxlan\s+\w+\s+unmanaged/);
});

test("NetworkManager, when it comes and when it is restarted, leaves knet's devices alone", async ({ hosts }) => {
  const [one] = hosts;
  const before = await network(one!);
  for (const verb of ["start", "restart"]) {
    await one!.sh(`systemctl ${verb} NetworkManager; nmcli -w 60 general status`);
    const devices = await one!.read("nmcli -t -f DEVICE,STATE device");
    for (const name of ["knet.1", "knet0"]) {
      assert.match(devices, new RegExp(`^${name}:unmanaged$`, "m"));
    }
    await untilReached(hosts);
    assert.equal(await network(one!), before);
  }
  await one!.sh("systemctl stop NetworkManager");
  await untilReached(hosts);
});

test("knet's nftables table comes back when the service nftables is restarted and stopped", async ({ hosts }) => {
  const [one] = hosts;
  for (const verb of ["restart", "stop"]) {
    await one!.sh(`systemctl ${verb} nftables`);
    await untilTrue(one!, "nft list table ip knet");
    await untilReached(hosts);
  }
});

test(
  "a policy of iptables that forwards nothing, and br_netfilter with it, does not cut containers off",
  async ({ hosts }) => {
    const [one] = hosts;
    const second = await attach(one!, "second");
    await one!.sh("modprobe br_netfilter; iptables -P FORWARD DROP");
    await untilReached(hosts);
    // On one bridge, where br_netfilter shows it to iptables.
    await untilTrue(one!, `ip netns exec web ping -c 1 -W 2 ${second}`);
    await one!.sh("iptables -P FORWARD ACCEPT; knet detach second; ip netns delete second");
  },
  "modules of its own",
);

test("rules of iptables-legacy that cut containers off are named with what lets them through", async ({ hosts }) => {
  const [one, two] = hosts as [Host, Host];
  await one.sh("iptables-legacy -P FORWARD DROP");
  const said = (await one.sh("knet doctor", { check: false })).stdout;
  assert.match(said, /^warn {2}firewall: forwarding: iptables-legacy rules/m);
  await followed(one, said, /^ +(iptables-legacy -I FORWARD.*)$/m);
  await untilReached([one, two]);
  await one.sh("iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F");
});

test("a strict rp_filter lets containers' packets through", async ({ hosts }) => {
  await hosts[0]!.sh("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done");
  await untilReached(hosts);
});

test("a clock that jumps two days and back loses neither lease nor peers", async ({ hosts }) => {
  const [one, two] = hosts as [Host, Host];
  const subnet = await one.read("cat /run/knet/subnet.env");
  const pid = await one.read("systemctl show -P MainPID knet");
  for (const jump of ["+2 days", "-2 days"]) {
    await one.sh(`date -s '${jump}'; sleep 20`);
    await untilReached(hosts);
    assert.match(await two.read("knet status"), /^host1 .* ok .* ok .* ok/m);
  }
  assert.equal(await one.read("cat /run/knet/subnet.env"), subnet);
  assert.equal(await one.read("systemctl show -P MainPID knet"), pid);
}, "a clock of its own");

test(
  "a machine that was suspended for longer than the watchdog waits goes on",
  async ({ hosts }) => {
    const [one] = hosts as [Machine, Host];
    await one.tell("stop");
    await new Promise((resolve) => setTimeout(resolve, 70_000));
    await one.tell("cont");
    await untilReached(hosts);
    await untilTrue(one, "systemctl -q is-active knet && knet status | grep -E '^store .*: ok'");
  },
  "a kernel of its own",
);

test("ufw cuts containers off, and what doctor says lets them through", async ({ hosts }) => {
  const [one] = hosts as [Host];
  await one.sh("systemctl start ufw; ufw --force enable");
  const said = (await one.sh("knet doctor", { check: false })).stdout;
  assert.match(said, /^(warn|FAIL) +firewall: tunnel: /m);
  await followed(one, said, /^ +(ufw .*)$/m);
  await untilReached(hosts);
});

test("what doctor says lets services of a host with ufw through", async ({ hosts }) => {
  const [one, two] = hosts as [Host, Host];
  // A service whose virtual IP is this host's own, asked by its container: that comes in, it is not forwarded.
  const web = await addressIn(two);
  await two.sh("ip netns exec web sh -c 'busybox nc -ll -p 8080 -e echo here > /tmp/nc 2>&1 &'");
  await addService(two, "here", `--vip 10.96.0.10 --port 80 --to ${web}:8080`);
  await untilTrue(one, "ipvsadm -Ln | grep 10.96.0.10:80");
  const again = (await one.sh("knet doctor", { check: false })).stdout;
  if (/^(warn|FAIL) +firewall: services: /m.test(again)) {
    await followed(one, again.slice(again.indexOf("firewall: services: ")), /^ +(ufw .*)$/m);
  }
  const ask = '[ "$(ip netns exec web busybox nc -w 5 10.96.0.10 80 < /dev/null)" = here ]';
  await untilTrue(one, ask);
  await removeService(two, "here");
}, "IPVS");

test("ufw is switched off, and nothing of knet's goes with it", async ({ hosts }) => {
  await hosts[0]!.sh("ufw --force disable; systemctl stop ufw");
  await untilTrue(hosts[0]!, "nft list table ip knet");
  await untilReached(hosts);
});

test("firewalld cuts containers off, and what doctor says lets them through", async ({ hosts }) => {
  const [one] = hosts as [Host, Host];
  await one.sh("systemctl start firewalld");
  await untilTrue(one, "firewall-cmd --state");
  const said = (await one.sh("knet doctor", { check: false })).stdout;
  assert.match(said, /^(warn|FAIL) +firewall: tunnel: .*firewalld/m);
  await followed(one, said, /^ +(firewall-cmd .*8472.*)$/m);
  await untilReached(hosts);
  await one.sh("firewall-cmd --reload");
  await untilReached(hosts);
  await one.sh("systemctl stop firewalld");
});

/** What the kernel has of knet's, and the host's devices. */
async function network(host: Host): Promise<string> {
  return await host.read("ip route show proto 107; ip nexthop show proto 107; ip -br link");
}

/** Does what the advice says that the pattern finds. */
async function followed(host: Host, said: string, advice: RegExp): Promise<void> {
  const found = advice.exec(said)?.[1];
  assert.ok(found, said);
  await host.sh(found);
}
