/**
 * What one TCP connection carries from a container on one host to one on another, by each backend of both.
 *
 * @module
 */
import { flows } from "../../support/cluster.ts";
import { Container } from "../../support/container.ts";
import type { Host } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { exists } from "../agent.ts";
import { type Throughput, throughput } from "../iperf.ts";
import type { Backend, Contender } from "./contender.ts";

/** By backend and contender, each round. */
export type ThroughputFigures = Map<Backend, Map<string, Throughput[]>>;

/** A contender with two hosts. */
export interface Pair {
  readonly contender: Contender;
  readonly hosts: readonly [Host, Host];
}

/** Measures all backends; contenders take turns in every round. */
export async function measureThroughput(
  pairs: readonly Pair[],
  backends: readonly Backend[],
  rounds: number,
  seconds: number,
): Promise<ThroughputFigures> {
  const figures: ThroughputFigures = new Map();
  for (const backend of backends) {
    const of = new Map<string, Throughput[]>(pairs.map(({ contender }) => [contender.name, []]));
    figures.set(backend, of);
    const built = [];
    for (const pair of pairs) built.push({ ...pair, ...await build(pair, backend) });
    for (let round = 0; round < rounds; round++) {
      for (const { contender, near, far } of round % 2 ? built : built.toReversed()) {
        of.get(contender.name)!.push(await throughput(near, far, seconds));
      }
    }
    for (const { contender, hosts, agents } of built) {
      for (const agent of agents) await agent.stop();
      for (const host of hosts) {
        await host.run("ip netns delete c1");
        await host.run("ip link delete cni0", { check: false });
        host.containers.length = 0;
        await contender.clean(host);
      }
    }
  }
  return figures;
}

/** Starts both agents and attaches a container to each host. */
async function build({ contender, hosts }: Pair, backend: Backend) {
  const cluster = await contender.cluster(`flow${backend.replace("-", "")}`, backend);
  const agents = await Promise.all(hosts.map((host) => cluster.start(host)));
  for (const host of hosts) {
    const file = host.path(contender.envFile);
    await until("the network is there", () => exists(file), { deadline: 60_000 });
  }
  const [near, far] = await Promise.all(
    hosts.map((host) => contender.attaches ? host.attach("c1") : attachByHand(host, contender)),
  ) as [Container, Container];
  await flows(near, far.address);
  return { agents, near, far };
}

/** A container as flannel's chain of CNI plugins makes it: on a bridge with the host's subnet, with the tunnel's MTU. */
async function attachByHand(host: Host, { envFile }: Contender): Promise<Container> {
  const text = await Deno.readTextFile(host.path(envFile));
  const gateway = /^FLANNEL_SUBNET=(.*)$/m.exec(text)![1]!;
  const mtu = /^FLANNEL_MTU=(.*)$/m.exec(text)![1]!;
  const [router, length] = gateway.split("/") as [string, string];
  const address = router.replace(/\d+$/, "2");
  await host.sh(`
    sysctl -q -w net.ipv4.ip_forward=1
    ip netns add c1
    ip link add cni0 mtu ${mtu} type bridge
    ip addr add ${gateway} dev cni0
    ip link set cni0 up
    ip link add v1 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns c1
    ip link set v1 master cni0 up
    ip -n c1 link set lo up
    ip -n c1 addr add ${address}/${length} dev eth0
    ip -n c1 link set eth0 up
    ip -n c1 route add default via ${router}`);
  return new Container(host, "c1", address);
}
