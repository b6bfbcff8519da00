/**
 * The ways of `dataplane.ts` from a container on one host to one on another: with the agent, and by hand with `ip`.
 *
 * @module
 */
import { type BackendCase, hostGwCase, udpCase, vxlanCase } from "../support/backend.ts";
import { Container } from "../support/container.ts";
import { exec } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { until } from "../support/wait.ts";

/** One way. */
export interface Way {
  readonly name: string;
  /** Two hosts with a container each. */
  build(lab: Lab): Promise<void>;
}

const NETWORK = "10.244.0.0/16";
const UNDERLAY_MTU = 1500;

/** A container with the first address but one of the host's subnet, on a bridge or routed. */
async function attachByHand(host: Host, n: number, mtu: number, bridge: boolean): Promise<void> {
  const gateway = `10.244.${n}.1`;
  await host.sh(`
    sysctl -q -w net.ipv4.ip_forward=1
    ip netns add c1
    ip link add v1 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns c1
    ${
    bridge
      ? `ip link add knet0 mtu ${mtu} type bridge; ip addr add ${gateway}/24 dev knet0; ip link set knet0 up; ip link set v1 master knet0`
      : `ip addr add ${gateway}/24 dev v1`
  }
    ip link set v1 up
    ip -n c1 link set lo up
    ip -n c1 addr add 10.244.${n}.2/24 dev eth0
    ip -n c1 link set eth0 up
    ip -n c1 route add default via ${gateway}`);
  host.containers.push(new Container(host, "c1", `10.244.${n}.2`));
}

/** Both hosts by hand; `connect` makes the way to the other. */
function byHand(
  name: string,
  mtu: number,
  bridge: boolean,
  connect: (host: Host, n: number, peer: Host, m: number) => Promise<unknown>,
): Way {
  return {
    name,
    async build(lab) {
      for (const [n, m] of [[1, 2], [2, 1]] as const) {
        await attachByHand(lab.host(n), n, mtu, bridge);
        await connect(lab.host(n), n, lab.host(m), m);
      }
    },
  };
}

function byAgent(name: string, backend: BackendCase): Way {
  return {
    name,
    async build(lab) {
      // The lab's default backend is what its hosts join with and are checked against.
      for (const host of lab.hosts) {
        host.backend = backend;
        host.joinArgs = backend.joinArgs;
      }
      await lab.host(1).knet(["init", "--network", NETWORK, ...backend.joinArgs]);
      await Promise.all(lab.hosts.map((host) => host.join()));
      await Promise.all(lab.hosts.map((host) => host.attach("c1")));
    },
  };
}

const plainRoute = (host: Host, _n: number, peer: Host, m: number) =>
  host.run(`ip route add 10.244.${m}.0/24 via ${peer.address} dev eth0`);

async function vxlan(host: Host, n: number, peer: Host, m: number): Promise<void> {
  await host.sh(`
    ip link add knet.1 address 02:00:00:00:00:0${n} mtu ${
    UNDERLAY_MTU - 50
  } type vxlan id 1 dstport 8472 local ${host.address} dev eth0 nolearning
    ip addr add 10.244.${n}.0/32 dev knet.1
    ip link set knet.1 up
    ip route add 10.244.${m}.0/24 via 10.244.${m}.0 dev knet.1 onlink
    ip neigh add 10.244.${m}.0 lladdr 02:00:00:00:00:0${m} dev knet.1 nud permanent
    bridge fdb append 02:00:00:00:00:0${m} dev knet.1 dst ${peer.address} self permanent`);
}

async function runLoop(host: Host, n: number, line: readonly string[]): Promise<void> {
  const loop = host.spawn(line);
  await until("the packet loop is ready", () => {
    if (loop.ended !== undefined) throw new Error(loop.stderr);
    return loop.stdout.includes("ready");
  });
  await host.sh(`
    ip addr add 10.244.${n}.0/32 dev knet.tun0
    ip link set knet.tun0 mtu ${UNDERLAY_MTU - 28} up
    ip route add ${NETWORK} dev knet.tun0`);
}

function packetLoop(host: Host, n: number, peer: Host, m: number): Promise<void> {
  const program = new URL("./packet_loop_host.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-q", "-A", "--no-check", program];
  const subnets = (k: number) => `10.244.${k}.0/24`;
  const mtu = `${UNDERLAY_MTU - 28}`;
  return runLoop(host, n, [
    ...deno,
    host.address,
    subnets(n),
    peer.address,
    subnets(m),
    mtu,
    "singly",
  ]);
}

let compiled: string | undefined;

async function simpleLoop(host: Host, n: number, peer: Host): Promise<void> {
  if (compiled === undefined) {
    compiled = `${await Deno.makeTempDir({ prefix: "knet-bench-" })}/simple_loop`;
    const source = new URL("./simple_loop.c", import.meta.url).pathname;
    await exec(["gcc", "-O2", "-o", compiled, source]);
  }
  await runLoop(host, n, [compiled, host.address, peer.address]);
}

/** Removes what was compiled. */
export async function cleanUp(): Promise<void> {
  if (compiled === undefined) return;
  await Deno.remove(compiled.slice(0, compiled.lastIndexOf("/")), { recursive: true });
}

/** Names that ratios refer to. */
export const NONE = "no overlay";
export const VXLAN = "vxlan";
export const HOST_GW = "host-gw";
export const UDP = "udp";
export const SINGLY = "udp, a packet at a time";
export const VXLAN_BY_HAND = "vxlan by hand";
export const HOST_GW_BY_HAND = "host-gw by hand";

/** All of them, in the order of the table. */
export const WAYS: readonly Way[] = [
  byHand(NONE, UNDERLAY_MTU, false, plainRoute),
  byHand(HOST_GW_BY_HAND, UNDERLAY_MTU, true, plainRoute),
  byAgent(HOST_GW, hostGwCase),
  byHand(VXLAN_BY_HAND, UNDERLAY_MTU - 50, true, vxlan),
  byAgent(VXLAN, vxlanCase),
  byAgent(UDP, udpCase),
  byHand(SINGLY, UNDERLAY_MTU - 28, true, packetLoop),
  byHand("the same in C, without any checks", UNDERLAY_MTU - 28, true, simpleLoop),
];

/** Builds one way in a lab of its own. */
export async function buildLab(way: Way): Promise<Lab> {
  const lab = await Lab.create({ hosts: 2 });
  try {
    await way.build(lab);
    return lab;
  } catch (error) {
    console.error(lab.logs());
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}
