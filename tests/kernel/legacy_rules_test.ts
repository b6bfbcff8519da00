// Rules of iptables-legacy, which nftables does not show: that they are there is seen, and the commands that are printed work.
import assert from "node:assert/strict";
import { ensurePasses } from "../../core/kernel/firewall/firewall.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { exec } from "../support/exec.ts";
import { skip } from "../support/skip.ts";
import { rootTest } from "../support/suite.ts";

rootTest(
  "what iptables-legacy drops gets through by the very commands that are advised",
  async () => {
    const [host, box, far] = ["h", "b", "f"].map((one) => `ky${Deno.pid}${one}`) as [
      string,
      string,
      string,
    ];
    const inside = (line: string) => exec(`ip netns exec ${host} ${line}`, { check: false });
    const script = `
    for n in ${host} ${box} ${far}; do ip netns add $n; ip -n $n link set lo up; done
    ip -n ${host} addr add 10.96.0.10/32 dev lo
    wire() {
      ip link add eth0 netns $1 type veth peer name $2 netns ${host}
      ip -n $1 addr add $3.2/24 dev eth0; ip -n $1 link set eth0 up; ip -n $1 route add default via $3.1
      ip -n ${host} addr add $3.1/24 dev $2; ip -n ${host} link set $2 up
    }
    wire ${box} knet0 10.244.1; wire ${far} wire0 10.244.2
    ip netns exec ${host} sysctl -qw net.ipv4.ip_forward=1`;
    try {
      await exec(["sh", "-ec", script]);
      using space = openNetns(host);
      using nft = withNetns(space.fd, () => new Nftables());
      const advice = () =>
        withNetns(space.fd, () =>
          ensurePasses(nft, {
            ...{ network: "10.244.0.0/16", targets: ["10.96.0.0/16"], bridge: "knet0", port: 8472 },
          })).advice;
      assert.deepEqual(advice(), [], "nothing of it is there");
      for (const hook of ["INPUT", "FORWARD"]) {
        const { code, stderr } = await inside(`iptables-legacy -P ${hook} DROP`);
        if (code !== 0) return skip("rules of iptables-legacy", stderr);
      }
      const reached = async () =>
        await Promise.all(
          ["10.96.0.10", "10.244.2.2"].map(async (address) =>
            (await exec(`ip netns exec ${box} ping -n -c 1 -W 1 ${address}`, { check: false }))
              .code === 0
          ),
        );
      assert.deepEqual(await reached(), [false, false]);
      const [said, ...more] = advice();
      assert.deepEqual([said?.manager, more], ["iptables-legacy", []]);
      for (const command of said!.commands) {
        assert.equal((await inside(command)).code, 0, command);
      }
      assert.deepEqual(await reached(), [true, true]);
    } finally {
      for (const one of [host, box, far]) {
        await exec(`ip netns delete ${one}`).catch(() => {});
      }
    }
  },
);
