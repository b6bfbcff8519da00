/**
 * `knet trace`: the way of a packet from a container of this host, step by step, from the live tables of
 * the kernel; of the receiving host what its lease says.
 *
 * @module
 */
import { missingCapabilities } from "../../../ffi/privilege.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { type InterfaceAddress, listAddresses } from "../../../ffi/rtnl/address.ts";
import { getLink } from "../../../ffi/rtnl/link.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { familyOf, prefixContains, prefixesOverlap } from "../../base/address.ts";
import { type ContainerRecord, listContainers } from "../../container/container.ts";
import { KnetError } from "../../base/error.ts";
import { type NodeState, readNodeState } from "../../cluster/node_state.ts";
import { deliveryStep, outsideStep, peerStep, type Way } from "./arrival.ts";
import { carriage } from "./carriage.ts";
import { containerOf, destinationOf, findLeases, isName, notHere } from "./ends.ts";
import { bridgeStep, containerStep, forwardingStep, forwardStep, hostStep } from "./origin.ts";
import { inputStep, serviceFacts, serviceSteps, virtualIpStep } from "./service.ts";
import {
  type HostPort,
  hostPort,
  portWord,
  publisherOf,
  remotePortStep,
  servicesAt,
  translationStep,
  unpublishedStep,
} from "./port.ts";
import { broken, type TraceStep } from "./step.ts";
import { deviceOut, routeStep } from "./way.ts";

export type { StepName, TraceStep } from "./step.ts";

/** One end of the way. */
export interface TraceEnd {
  readonly address: string;
  /** The container's namespace, if it is one of this host. */
  readonly container?: string;
  /** What it is called, if it has a name and is of this host, or was found by it. */
  readonly name?: string;
  /** Name of the host. */
  readonly node?: string;
  readonly publicIp?: string;
  /** The port of the host that was asked for, and its protocol. */
  readonly port?: number;
  readonly protocol?: string;
}

/** The way of a packet. One stable JSON document. */
export interface TraceReport {
  readonly source: TraceEnd;
  readonly destination: TraceEnd;
  /** In the order of the way; ends with the one that is broken, if one is. */
  readonly steps: readonly TraceStep[];
  /** No step is broken, as far as it can be seen from here. */
  readonly passes: boolean;
}

/** What to trace. */
export interface TraceOptions {
  /** A container of this host: its namespace as it was attached, its address or its name. */
  readonly source: string;
  /** A container of this host, the name of one of any host, any address, or a port of a host: `HOST:PORT[/PROTOCOL]`. */
  readonly destination: string;
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
}

/**
 * Follows a packet.
 *
 * @throws {KnetError} exit code 2 if an end is neither a container nor an address, 4 if several may be meant, 3 without the privilege to look.
 */
export async function trace(options: TraceOptions): Promise<TraceReport> {
  const missing = missingCapabilities(["netAdmin", "sysAdmin"]);
  if (missing.length > 0) {
    throw new KnetError(`Cannot trace: the process lacks ${missing.join(", ")}`, {
      exitCode: 3,
      remedy: "Run it as root: the first step is inside the container's namespace",
    });
  }
  const state = readNodeState(options.stateDir);
  if (state === undefined) {
    throw new KnetError("Cannot trace: this host has not joined the cluster", {
      remedy: "Start the agent: knet join",
    });
  }
  const book = listContainers(options.dataDir);
  const { source, destination } = options;
  const word = isName(book, destination) ? portWord(destination) : undefined;
  const known = await findLeases(options, state, isName(book, source) || isName(book, destination));
  const { leases, services, now, note } = known;
  const from = containerOf(book, source, state);
  if (from === undefined) throw notHere(book, source, known, state);
  using rtnl = openRtnl();
  const vip = word && servicesAt(word, services);
  const port = vip === undefined && word !== undefined
    ? hostPort(word, state, leases, listAddresses(rtnl).map((one) => one.address))
    : undefined;
  const { address, record: to, name } = port !== undefined
    ? { address: port.address }
    : destinationOf(book, vip?.[0]?.vip ?? destination, known, state);
  const holder = leases.find((lease) => prefixContains(lease.subnet, address));
  const service = await serviceFacts(options.stateDir, vip ?? services, address);
  const way = { state, from, to, address, leases, holder, now, note, service };
  const steps = port === undefined
    ? walk(rtnl, way)
    : port.peer === undefined
    ? walkToPort(rtnl, way, port, book)
    : walk(rtnl, way);
  if (port?.peer !== undefined && steps.at(-1)?.status !== "broken") {
    steps.push(remotePortStep(port, port.peer, known.containers, note));
  }
  const here = { node: state.nodeName, publicIp: state.publicIp };
  return {
    source: { ...endOf(from.address, from), ...here },
    destination: {
      ...endOf(address, to, name),
      ...(holder !== undefined && { node: holder.nodeName, publicIp: holder.publicIp }),
      ...(port !== undefined && portEnd(port, state)),
    },
    steps,
    passes: steps.every(({ status }) => status !== "broken"),
  };
}

function endOf(
  address: string,
  record: ContainerRecord | undefined,
  found?: string,
): Pick<TraceEnd, "address" | "container" | "name"> {
  const name = record?.name ?? found;
  return {
    address,
    ...(record !== undefined && { container: record.netns }),
    ...(name !== undefined && { name }),
  };
}

/** Each step in turn, until one is broken. */
function walk(rtnl: NetlinkSocket, way: Way): TraceStep[] {
  const { state, from, address, holder } = way;
  const local = prefixContains(state.subnet, address);
  const steps: TraceStep[] = [];
  /** Whether the packet is still on its way. */
  const pass = (...more: TraceStep[]) => {
    steps.push(...more);
    return steps.at(-1)!.status !== "broken";
  };
  if (!pass(containerStep(from, address)) || !pass(bridgeStep(rtnl, from, state))) return steps;
  if (local) {
    pass(deliveryStep(rtnl, way));
    return steps;
  }
  const bridge = getLink(rtnl, state.bridge)!;
  const packet = { src: from.address, dst: address, iif: bridge.index };
  if (way.service.services.length > 0) {
    if (!pass(forwardingStep(state)) || !pass(virtualIpStep(rtnl, packet))) return steps;
    if (pass(inputStep(way.service, packet, state))) {
      pass(...serviceSteps(way.service, from.address, state));
    }
    return steps;
  }
  const own = listAddresses(rtnl, { family: familyOf(address) });
  if (own.some((one) => one.address === address)) {
    pass(hostStep(state, packet));
    return steps;
  }
  if (isNobodys(address, state, own)) {
    pass(broken(
      "service",
      `no service has ${address}, and what nobody has of ${state.serviceNetwork} is refused`,
      "Look at the services: knet svc ls",
    ));
    return steps;
  }
  const inside = prefixContains(state.network, address);
  if (!pass(forwardStep(state, { ...packet, oif: deviceOut(rtnl, packet) }))) return steps;
  if (inside && holder === undefined) {
    pass(broken(
      "peer",
      `no host of the cluster has a subnet with ${address}`,
      "Look at the leases: knet lease ls",
    ));
    return steps;
  }
  const routed = routeStep(
    rtnl,
    packet,
    inside ? holder : undefined,
    // The udp backend's one route leads all of the network to the agent, which knows the peers.
    state.backend === "udp" ? state.network : holder?.subnet,
  );
  if (!pass(routed.step)) return steps;
  if (routed.route === undefined || routed.link === undefined) return steps;
  if (!inside) {
    pass(outsideStep(way, routed.link));
    return steps;
  }
  const peer = holder!;
  for (const step of carriage(rtnl, state, routed.route, routed.link, peer)) {
    if (!pass(step)) return steps;
  }
  pass(peerStep(peer, way));
  return steps;
}

/** To a port of this host: into the container that has published it, or to the host itself. */
function walkToPort(
  rtnl: NetlinkSocket,
  way: Way,
  port: HostPort,
  book: readonly ContainerRecord[],
): TraceStep[] {
  const { state, from, address } = way;
  const steps = [containerStep(from, address)];
  const found = publisherOf(port, book);
  const next: (() => TraceStep)[] = [() => bridgeStep(rtnl, from, state)];
  if (found === undefined) {
    const packet = { src: from.address, dst: address };
    next.push(() => unpublishedStep(port), () => hostStep(state, packet));
  } else {
    const { container: to, mapping } = found;
    const led = { src: from.address, dst: to.address, oif: state.bridge };
    next.push(
      () => translationStep(port, to, mapping, state),
      () => forwardStep(state, led),
      () => deliveryStep(rtnl, { ...way, to, address: to.address }),
    );
  }
  for (const step of next) {
    if (steps.at(-1)!.status === "broken") break;
    steps.push(step());
  }
  return steps;
}

function portEnd(
  { port, protocol, peer }: HostPort,
  state: NodeState,
): Pick<TraceEnd, "node" | "publicIp" | "port" | "protocol"> {
  const { nodeName: node, publicIp } = peer ?? state;
  return { node, publicIp, port, protocol };
}

/** Whether it is an address for services that none has. Where hosts' own addresses are among those, knet refuses nothing. */
function isNobodys(
  address: string,
  { serviceNetwork }: NodeState,
  own: readonly InterfaceAddress[],
): boolean {
  return familyOf(address) === familyOf(serviceNetwork) &&
    prefixContains(serviceNetwork, address) &&
    !own.some((one) =>
      one.prefixLength < 32 &&
      prefixesOverlap(serviceNetwork, `${one.address}/${one.prefixLength}`)
    );
}
