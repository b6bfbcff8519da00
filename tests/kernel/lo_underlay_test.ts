// A host whose address is on lo (BGP on the host): what its interfaces do is asked of those by which the others are reached.
import assert from "node:assert/strict";
import { overlayWays } from "../../core/cluster/node_state.ts";
import { forwardStep } from "../../core/inspect/trace/origin.ts";
import { deviceOut } from "../../core/inspect/trace/way.ts";
import { applyFirewall } from "../../core/kernel/firewall/firewall.ts";
import { chooseUnderlay, waysOf } from "../../core/overlay/underlay.ts";
import { readUnderlayFacts } from "../../core/overlay/underlay_facts.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { exec } from "../support/exec.ts";
import { inNewNamespace } from "../support/namespace.ts";
import { sampleState } from "../support/samples.ts";
import { rootTest } from "../support/suite.ts";
import { forgedDatagram, forgeLine } from "../support/forge.ts";

/** Runs a shell script in the namespace that the thread is in. */
function sh(script: string): void {
  const { success, stderr } = new Deno.Command("sh", { args: ["-ec", script] }).outputSync();
  assert.ok(success, `${script}: ${new TextDecoder().decode(stderr)}`);
}

rootTest(
  "trace judges the rules for the device that leads to the peer, not for the one that has the address",
  () =>
    inNewNamespace(() => {
      sh(`ip link set lo up; ip addr add 10.255.0.1/32 dev lo
      ip link add knet0 type bridge; ip link set knet0 up; ip addr add 10.244.1.1/24 dev knet0
      for n in 0 1; do
        ip link add eth$n type veth peer name far$n; ip link set eth$n up; ip link set far$n up
        ip addr add 192.168.$n.10/24 dev eth$n
      done
      ip route add 10.244.2.0/24 via 192.168.0.2; ip route add 10.244.3.0/24 via 192.168.1.3
      ip route add blackhole 10.244.4.0/24
      sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.forwarding=1
      nft add table ip others
      nft add chain ip others forward '{ type filter hook forward priority 0; }'
      nft add rule ip others forward iifname knet0 oifname eth1 drop`);
      const { device: _, ...rest } = sampleState({
        backend: "host-gw",
        iface: "lo",
        ways: ["eth0", "eth1"],
      });
      using rtnl = openRtnl();
      const iif = getLink(rtnl, "knet0")!.index;
      const step = (dst: string) => {
        const packet = { src: "10.244.1.2", dst, iif };
        const oif = deviceOut(rtnl, packet);
        const { status, detail } = forwardStep(rest, { ...packet, oif });
        return `${oif} ${status} ${/others forward drops/.exec(detail) ?? ""}`;
      };
      assert.equal(step("10.244.2.2"), "eth0 ok ");
      assert.equal(step("10.244.3.2"), "eth1 broken others forward drops");
      assert.match(step("10.244.4.2"), /^undefined /, "no device: the next step says why");
      assert.deepEqual(overlayWays(rest), ["eth0", "eth1"]);
    }),
);

rootTest(
  "the guard lets peers in by every way to a host whose address is on lo, and nobody else",
  async () => {
    const [host, far, box] = ["h", "f", "b"].map((one) => `kl${Deno.pid}${one}`) as [
      string,
      string,
      string,
    ];
    // The underlay is a bridge, as on a host with virtual machines: of those the guard asks whether an address lives behind them.
    const script = `
    for n in ${host} ${far} ${box}; do ip netns add $n; ip -n $n link set lo up; done
    ip -n ${host} addr add 10.255.0.1/32 dev lo
    for n in 0 1; do
      ip -n ${host} link add br$n type bridge; ip -n ${host} link set br$n up
      ip -n ${host} addr add 192.168.$n.1/24 dev br$n
      ip link add p$n netns ${host} type veth peer name eth$n netns ${far}
      ip -n ${host} link set p$n master br$n up
      ip -n ${far} link set eth$n up; ip -n ${far} addr add 192.168.$n.2/24 dev eth$n
    done
    for a in 10.255.0.2 10.255.0.9; do ip -n ${far} addr add $a/32 dev lo; done
    ip -n ${host} route add 10.255.0.0/24 nexthop via 192.168.0.2 nexthop via 192.168.1.2
    ip -n ${host} route add default nexthop via 192.168.0.2 nexthop via 192.168.1.2
    ip -n ${host} link add knet0 type bridge; ip -n ${host} link set knet0 up
    ip -n ${host} addr add 10.244.1.1/24 dev knet0
    ip link add pc netns ${host} type veth peer name eth0 netns ${box}
    ip -n ${host} link set pc master knet0 up; ip -n ${box} link set eth0 up
    ip -n ${box} addr add 10.244.1.2/24 dev eth0; ip -n ${box} route add default via 10.244.1.1
    ip -n ${box} addr add 10.255.0.2/32 dev lo
    for n in ${host} ${far} ${box}; do
      ip netns exec $n sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'
    done
    for n in 0 1; do ip -n ${far} route add 10.255.0.1/32 via 192.168.$n.1 metric $((n + 1)); done`;
    try {
      await exec(["sh", "-ec", script]);
      using space = openNetns(host);
      using nft = withNetns(space.fd, () => new Nftables());
      const ifaces = withNetns(space.fd, () => {
        using rtnl = openRtnl();
        return waysOf(chooseUnderlay(readUnderlayFacts(rtnl, 4), { family: 4, iface: "lo" }));
      });
      assert.deepEqual([...ifaces].sort(), ["br0", "br1"]);
      const peersOnly = {
        port: 8472,
        vni: 1,
        device: "knet.1",
        user: undefined,
        peers: ["10.255.0.2"],
      };
      withNetns(space.fd, () =>
        applyFirewall(nft, {
          ...{ network: "10.244.0.0/16", subnet: "10.244.1.0/24", address: "10.255.0.1" },
          ...{ bridge: "knet0", ipMasq: false, ifaces, peersOnly },
        }));
      // Behind the guard.
      await exec(["ip", "netns", "exec", host, "nft", "-f", "-"], {
        stdin:
          "table ip seen {\nchain in { type filter hook input priority 0; udp dport 8472 counter; }\n}",
      });
      const arrived = async (from: string, source: string) => {
        const datagram = forgedDatagram({
          ...{ vni: 1, sourceMac: "02:00:00:00:00:09", destinationMac: "ff:ff:ff:ff:ff:ff" },
          ...{ source: "10.244.2.2", destination: "10.244.1.2", port: 9000 },
        });
        const before = await count();
        await exec([
          "ip",
          "netns",
          "exec",
          from,
          ...forgeLine("10.255.0.1", 8472, datagram, 1, source),
        ]);
        return await count() - before;
      };
      const count = async () =>
        Number(
          /packets (\d+)/.exec((await exec(`ip netns exec ${host} nft list table ip seen`)).stdout)
            ?.[1],
        );
      assert.equal(await arrived(far, "10.255.0.2"), 1, "a peer, by one way");
      await exec(`ip -n ${far} route del 10.255.0.1/32 metric 1`);
      assert.equal(await arrived(far, "10.255.0.2"), 1, "a peer, by the other way");
      // By a way that is not the one that leads back to it.
      await exec(`ip -n ${host} route replace 10.255.0.0/24 via 192.168.0.2`);
      assert.equal(await arrived(far, "10.255.0.2"), 1, "a peer, by another way than leads to it");
      assert.equal(await arrived(far, "10.255.0.9"), 0, "who is no peer");
      assert.equal(await arrived(box, "10.255.0.2"), 0, "a container that forges a peer's address");
      assert.equal(await arrived(host, "10.255.0.1"), 0, "this host itself, by lo");
    } finally {
      for (const one of [host, far, box]) await exec(`ip netns delete ${one}`).catch(() => {});
    }
  },
);
