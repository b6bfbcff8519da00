/**
 * What befalls a host while its agent runs (acceptance 3), as a table.
 *
 * Longer than others, being a table.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { BackendCase } from "./backend.ts";
import { NETWORK } from "./cluster.ts";
import { DOCKER_RULES, FOREIGN_TABLE } from "./foreigners.ts";
import type { Host } from "./host.ts";
import { type Lab, ROUTER } from "./lab.ts";
import { sleep, until } from "./wait.ts";
import { type FdbRow, identityOf, type NexthopRow, sameLink } from "./walk.ts";

/** One of them. */
export interface Injury {
  readonly name: string;
  /** Harms host 1 of the lab; the time of healing counts from its return. */
  readonly inflict: (lab: Lab) => Promise<void>;
  /** Needs next-hop objects. */
  readonly nexthops?: true;
  /** Cannot be healed without the store: the peers have to be told something. */
  readonly needsStore?: true;
}

async function move(host: Host, address: string): Promise<void> {
  await host.sh(`
    ip addr del ${host.address}/24 dev eth0
    sleep 0.2
    ip addr add ${address}/24 dev eth0
    ip route replace default via ${ROUTER}`);
  host.address = address;
}

const far = (lab: Lab) => identityOf(lab.host(2));

/** Sends what goes to host 2 to another port, or with another VNI. */
async function divert(lab: Lab, how: string): Promise<void> {
  const { mac, publicIp } = await far(lab);
  await lab.host(1).run(
    `bridge fdb replace ${mac} dev knet.1 dst ${publicIp} ${how} self permanent`,
  );
}

/** Id of the next hop to host 2. */
async function nexthopId(lab: Lab): Promise<number | undefined> {
  const { vtep } = await far(lab);
  const rows = await lab.host(1).json<NexthopRow[]>("ip -j nexthop show proto 107");
  return rows.find((row) => row.gateway === vtep)?.id;
}

/** What the tunnel device's entries may suffer. */
const OF_VXLAN: readonly Injury[] = [
  {
    name: "a route into the tunnel is deleted",
    inflict: async (lab) => {
      await lab.host(1).run(`ip route del ${(await far(lab)).subnet} proto 107`);
    },
  },
  {
    name: "the VXLAN device is deleted",
    inflict: async (lab) => void await lab.host(1).run("ip link delete knet.1"),
  },
  {
    name: "the VXLAN device's address is deleted",
    inflict: async (lab) => {
      const { vtep } = await identityOf(lab.host(1));
      await lab.host(1).run(`ip addr del ${vtep}/32 dev knet.1`);
    },
  },
  {
    name: "a neighbour is deleted",
    inflict: async (lab) => {
      await lab.host(1).run(`ip neigh del ${(await far(lab)).vtep} dev knet.1`);
    },
  },
  {
    name: "an FDB entry is deleted",
    inflict: async (lab) => {
      const { mac, publicIp } = await far(lab);
      const host = lab.host(1);
      const rows = await host.json<FdbRow[]>("bridge -j fdb show dev knet.1");
      assert.ok(rows.some((row) => row.mac === mac));
      await host.run(`bridge fdb del ${mac} dev knet.1 dst ${publicIp} self`);
    },
  },
  {
    name: "the port of an FDB entry is changed",
    inflict: (lab) => divert(lab, "port 4790"),
  },
  {
    name: "the VNI of an FDB entry is changed",
    inflict: (lab) => divert(lab, "vni 4711"),
  },
  {
    name: "a next-hop object becomes a blackhole",
    nexthops: true,
    inflict: async (lab) => {
      await lab.host(1).run(`ip nexthop replace id ${await nexthopId(lab)} blackhole proto 107`);
    },
  },
  {
    name: "a next-hop object is led elsewhere",
    nexthops: true,
    inflict: async (lab) => {
      const id = await nexthopId(lab);
      await lab.host(1).run(`ip nexthop replace id ${id} via 198.51.100.7 dev f0 proto static`);
    },
  },
  {
    name: "a next-hop object is deleted",
    nexthops: true,
    inflict: async (lab) => {
      await lab.host(1).run(`ip nexthop del id ${await nexthopId(lab)}`);
    },
  },
  {
    name: "the VXLAN device's MAC address is changed",
    inflict: async (lab) => {
      await lab.host(1).run("ip link set dev knet.1 address 02:12:34:56:78:9a");
    },
  },
  {
    name: "the VXLAN device is set down",
    inflict: async (lab) => void await lab.host(1).run("ip link set knet.1 down"),
  },
  {
    name: "the VXLAN device's outer address is changed",
    inflict: async (lab) => {
      await lab.host(1).run("ip link set knet.1 type vxlan id 1 local 198.51.100.77");
    },
  },
  {
    name: "the VXLAN device is moved to another underlay interface",
    inflict: (lab) => lab.host(1).run("ip link set knet.1 type vxlan id 1 dev f0").then(() => {}),
  },
  {
    name: "the VXLAN device begins to learn, or is made anew with another port",
    inflict: async (lab) => {
      // The kernel changes the first in place from 5.x on, and the second never.
      await lab.host(1).sh(`
        ip link set knet.1 type vxlan id 1 learning || true
        ip link delete knet.1 || true
        ip link add knet.1 type vxlan id 1 dstport 4790 local ${
        lab.host(1).address
      } dev eth0 || true
        ip link set knet.1 up || true`);
    },
  },
  {
    name: "the VXLAN device becomes a port of the bridge",
    inflict: async (lab) => void await lab.host(1).run("ip link set knet.1 master knet0"),
  },
  {
    name: "the VXLAN device gets another name",
    inflict: async (lab) => {
      await lab.host(1).sh(
        "ip link set knet.1 down; ip link set knet.1 name lost || true; ip link set lost up || true",
      );
    },
  },
  {
    name: "the VXLAN device makes IPv6 addresses",
    inflict: async (lab) => void await lab.host(1).run("ip link set knet.1 addrgenmode eui64"),
  },
];

/** What the TUN device and its route may suffer. */
const OF_UDP: readonly Injury[] = [
  {
    name: "the route into the tunnel is deleted",
    inflict: async (lab) => void await lab.host(1).run(`ip route del ${NETWORK} proto 107`),
  },
  {
    name: "the TUN device is deleted",
    inflict: async (lab) => void await lab.host(1).run("ip link delete knet.tun0"),
  },
  {
    name: "the TUN device is deleted and a TAP device made in its place, likewise",
    inflict: async (lab) => {
      await lab.host(1).sh(
        "ip link delete knet.tun0; ip tuntap add knet.tun0 mode tap 2> /dev/null || true",
      );
    },
  },
  {
    name: "the TUN device gives way to a bridge of its name, if that is quick enough",
    inflict: async (lab) => {
      await lab.host(1).sh(
        "ip link delete knet.tun0; ip link add knet.tun0 type bridge 2> /dev/null || true",
      );
    },
  },
  {
    name: "the TUN device's address is deleted",
    inflict: async (lab) => {
      const { vtep } = await identityOf(lab.host(1));
      await lab.host(1).run(`ip addr del ${vtep}/32 dev knet.tun0`);
    },
  },
  {
    name: "the TUN device's MTU is changed",
    inflict: async (lab) => void await lab.host(1).run("ip link set knet.tun0 mtu 1300"),
  },
  {
    name: "the TUN device is set down",
    inflict: async (lab) => void await lab.host(1).run("ip link set knet.tun0 down"),
  },
];

/** What plain routes through the underlay may suffer. */
const OF_PLAIN_ROUTES: readonly Injury[] = [
  {
    name: "a plain route is deleted",
    inflict: async (lab) => {
      const { subnet } = await identityOf(onLink(lab));
      await lab.host(1).run(`ip route del ${subnet} proto 107`);
    },
  },
  {
    name: "a plain route is turned to the router",
    inflict: async (lab) => {
      const { subnet } = await identityOf(onLink(lab));
      await lab.host(1).run(`ip route replace ${subnet} via ${ROUTER} dev eth0 proto 107`);
    },
  },
  {
    name: "all of knet's routes are flushed",
    inflict: async (lab) => {
      // Not "ip route flush", which cannot delete routes by next-hop objects.
      await lab.host(1).sh(
        `ip route show proto 107 | while read -r dst rest; do ip route del $dst proto 107; done`,
      );
    },
  },
  {
    name: "the underlay interface is set down and up",
    inflict: async (lab) => {
      await lab.host(1).sh(`
        ip link set eth0 down
        sleep 0.5
        ip link set eth0 up
        ip route replace default via ${ROUTER}`);
    },
  },
  {
    name: "the underlay interface loses its address and gets it back",
    inflict: (lab) => move(lab.host(1), lab.host(1).address),
  },
];

/** The end on the host of the container on host 1, once the injury before is healed. */
async function port(lab: Lab): Promise<string> {
  const { value } = await until("the container hangs on the bridge", async () => {
    const { stdout } = await lab.host(1).sh("ls /sys/class/net/knet0/brif");
    return stdout.split("\n").find((name) => name.startsWith("kv"));
  });
  return value;
}

/** What bridge and containers may suffer, whatever the backend: tried with one. */
const OF_BRIDGE: readonly Injury[] = [
  {
    name: "a container's end is taken out of the bridge",
    inflict: async (lab) => void await lab.host(1).run(`ip link set ${await port(lab)} nomaster`),
  },
  {
    name: "a container's end is set down",
    inflict: async (lab) => void await lab.host(1).run(`ip link set ${await port(lab)} down`),
  },
  {
    name: "a container's end gets another name",
    inflict: async (lab) => {
      const end = await port(lab);
      await lab.host(1).sh(
        `ip link set ${end} down; ip link set ${end} name lost || true; ip link set lost up || true`,
      );
    },
  },
  {
    name: "a container's end is deleted",
    inflict: async (lab) => {
      await lab.host(1).run(`ip link delete ${await port(lab)}`);
      // Without an interface a ping cannot even begin.
      await port(lab);
    },
  },
  {
    name: "the route to the bridge's network is deleted",
    inflict: async (lab) => {
      const subnet = await lab.host(1).subnet();
      await lab.host(1).run(`ip route del ${subnet} dev knet0 proto kernel`);
    },
  },
  {
    name: "the bridge's address is made to run out",
    inflict: async (lab) => {
      const gateway = (await lab.host(1).subnetEnv())["KNET_SUBNET"];
      await lab.host(1).run(`ip addr change ${gateway} dev knet0 valid_lft 60 preferred_lft 60`);
    },
  },
  {
    name: "the bridge is deleted",
    inflict: async (lab) => void await lab.host(1).run("ip link delete knet0"),
  },
  {
    name: "the bridge gets another name",
    inflict: async (lab) => {
      await lab.host(1).sh("ip link set knet0 down; ip link set knet0 name lost || true");
    },
  },
];

/** What may befall any host. */
const COMMON: readonly Injury[] = [
  {
    name: "the bridge's address is deleted",
    inflict: async (lab) => {
      const gateway = (await lab.host(1).subnetEnv())["KNET_SUBNET"];
      await lab.host(1).run(`ip addr del ${gateway} dev knet0`);
    },
  },
  {
    name: "the underlay's carrier goes and comes back",
    inflict: async (lab) => {
      await lab.runUnderlay(`ip link set ${lab.host(1).name} down`);
      await sleep(500);
      await lab.runUnderlay(`ip link set ${lab.host(1).name} up`);
    },
  },
  {
    name: "the underlay interface gets another address",
    needsStore: true,
    inflict: (lab) => move(lab.host(1), "192.168.2.111"),
  },
  {
    name: "the underlay interface gets its old address again",
    needsStore: true,
    inflict: (lab) => move(lab.host(1), lab.host(1).options.address),
  },
  {
    name: "nft flush ruleset (and Docker sets its rules again)",
    inflict: async (lab) => {
      await lab.host(1).sh(`nft flush ruleset; ${FOREIGN_TABLE}; ${DOCKER_RULES}`);
    },
  },
  {
    name: "the chain with the FORWARD rules is flushed",
    inflict: async (lab) => void await lab.host(1).run("iptables -w -F DOCKER-USER"),
  },
  {
    name: "ip_forward is set to 0",
    inflict: async (lab) => void await lab.host(1).run("sysctl -q -w net.ipv4.ip_forward=0"),
  },
];

/** A peer of host 1 on its link. */
function onLink(lab: Lab): Host {
  const peer = lab.hosts.slice(1).find((host) => sameLink(host, lab.host(1)));
  if (peer === undefined) throw new RangeError("Host 1 has no peer on its link");
  return peer;
}

/** The injuries that a backend can suffer, each on host 1. Those of a tunnel's entries concern host 2. */
export function injuriesOf(backend: BackendCase): readonly Injury[] {
  return [
    ...(backend.type === "vxlan" ? OF_VXLAN : []),
    ...(backend.type === "udp" ? OF_UDP : []),
    ...(backend.plainOnLink ? OF_PLAIN_ROUTES : []),
    ...(backend.type === "host-gw" ? OF_BRIDGE : []),
    ...COMMON,
  ];
}
