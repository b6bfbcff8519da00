/**
 * Published ports of this host's containers: whether they may be, and bringing the kernel's table to what the book says of them.
 *
 * Whoever changes the book does so under its lock, at once and with or without an agent; that the table stays so, the agent sees to.
 *
 * @module
 */
import { Nftables, NoNftablesError } from "../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../ffi/load.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import { familyOf } from "../base/address.ts";
import { KnetError, messageOf } from "../base/error.ts";
import type { NodeState } from "../cluster/node_state.ts";
import { type Parameter, setParameters } from "../kernel/device_parameters.ts";
import {
  changePorts,
  hasLoopbackPorts,
  hasPorts,
  type PortMaps,
  portMaps,
  type PublishedPort,
} from "../kernel/firewall/firewall.ts";
import { VIP_DEVICE } from "../kernel/ipvs/vips.ts";
import { type Listener, listenerAt, ownerOfSocket, ownerText, readListeners } from "./listeners.ts";
import { type PortPlace, portsOverlap, portText } from "./port_request.ts";
import {
  CNI_RUNTIME,
  type ContainerRecord,
  PODMAN_RUNTIME,
  type PortMapping,
  type RuntimeIdentity,
  shownName,
} from "./record.ts";

/** All published ports of a book. */
export function publishedPorts(book: readonly ContainerRecord[]): PublishedPort[] {
  return book.flatMap(({ ports = [], address }) => ports.map((port) => ({ ...port, address })));
}

/** What is known of the host, for {@linkcode portFault}. */
export interface PortFacts {
  /** Other containers. */
  readonly book: readonly ContainerRecord[];
  readonly listeners: readonly Listener[];
  /** UDP port of the tunnel. */
  readonly tunnel?: number | undefined;
  /** Addresses of this host that are no virtual IPs. */
  readonly own: ReadonlySet<string>;
  readonly vips: ReadonlySet<string>;
  /** Names of processes that listen at a port to keep it for the very container that is to have it. */
  readonly keepers?: ReadonlySet<string>;
}

/**
 * Who keeps ports for a runtime's containers: podman listens at each itself before it asks for the network, and its monitor does for as
 * long as the container runs. Of CNI's callers podman is but one, and what a monitor keeps may be for another container.
 */
export function keepersFor(runtime: string | undefined): ReadonlySet<string> {
  if (runtime === PODMAN_RUNTIME) return new Set(["podman", "conmon"]);
  return new Set(runtime === CNI_RUNTIME ? ["podman"] : []);
}

/** Why a port cannot be published, and what helps. */
export interface PortFault {
  readonly state: string;
  readonly exitCode: 2 | 4;
  readonly remedy: string;
}

const TAKEN = { exitCode: 4, remedy: "Free it, or publish at another port of the host" } as const;

/**
 * Says why a port cannot be published; undefined if it can. Pure but for whose a socket is.
 *
 * @param ownerOf finds the process that has a socket.
 */
export function portFault(
  port: PortPlace,
  facts: PortFacts,
  ownerOf = ownerOfSocket,
): PortFault | undefined {
  const { hostIp, hostPort, protocol } = port;
  const { book, listeners, tunnel, own, vips, keepers } = facts;
  if (hostIp !== undefined && vips.has(hostIp)) {
    return {
      state: `${hostIp} is a virtual IP, which answers for services alone`,
      exitCode: 4,
      remedy:
        "Make the container a service's real server (knet svc to), or publish at another address",
    };
  }
  if (hostIp !== undefined && !own.has(hostIp) && !hostIp.startsWith("127.")) {
    return {
      state: `${hostIp} is no address of this host`,
      exitCode: 2,
      remedy: "Name one that it has, or none for all of them",
    };
  }
  const other = book.find(({ ports }) => ports?.some((one) => portsOverlap(one, port)));
  if (other !== undefined) {
    return {
      state: `container "${shownName(other)}" (${other.address}) has published it`,
      ...TAKEN,
    };
  }
  if (protocol === "udp" && hostPort === tunnel) {
    return { state: "it is the port of knet's tunnel", ...TAKEN };
  }
  // What is at a virtual IP is not reached by a published port.
  const elsewhere = listeners.filter((one) => one.hostIp === undefined || !vips.has(one.hostIp));
  const listener = listenerAt(port, elsewhere);
  if (listener === undefined) return undefined;
  const owner = ownerOf(listener.inode);
  if (owner !== undefined && keepers?.has(owner.name)) return undefined;
  return { state: `${ownerText(listener.inode, owner)} listens there`, ...TAKEN };
}

/**
 * Refuses ports that somebody has.
 *
 * @param others the other containers.
 * @param name of the one that is to have them.
 * @param runtime that asks for them.
 * @throws {KnetError} exit code 4, naming who has it; 2 if it makes no sense here.
 */
export function refuseTakenPorts(
  { rtnl, state }: { readonly rtnl: NetlinkSocket; readonly state: NodeState },
  ports: readonly PortMapping[],
  others: readonly ContainerRecord[],
  name: string,
  runtime?: string,
): void {
  if (ports.length === 0) return;
  if (familyOf(state.subnet) !== 4) {
    throw new KnetError(`Cannot publish ports of "${name}": the cluster network is not IPv4`, {
      exitCode: 2,
      remedy: "Make a service instead: knet svc add",
    });
  }
  const device = getLink(rtnl, VIP_DEVICE)?.index;
  const addresses = listAddresses(rtnl, { family: 4 });
  const of = (wanted: boolean) =>
    new Set(
      addresses.filter(({ ifindex }) => (ifindex === device) === wanted)
        .map(({ address }) => address),
    );
  const facts: PortFacts = {
    book: others,
    listeners: readListeners(new Set(ports.map(({ protocol }) => protocol))),
    tunnel: state.port,
    own: of(false),
    vips: of(true),
    keepers: keepersFor(runtime),
  };
  for (const port of ports) {
    const fault = portFault(port, facts);
    if (fault === undefined) continue;
    const { state, ...rest } = fault;
    throw new KnetError(`Cannot publish port ${portText(port)} of "${name}": ${state}`, rest);
  }
}

/** Whether the same container has published a port by another of its interfaces: runtimes tell all ports with each network. */
export function isPublishedBy(
  port: PortMapping,
  book: readonly ContainerRecord[],
  identity: RuntimeIdentity | undefined,
): boolean {
  const own = identity === undefined
    ? []
    : book.filter((one) =>
      one.runtime === identity.runtime && one.containerId === identity.containerId
    );
  return own.some(({ ports = [] }) =>
    ports.some((one) =>
      portsOverlap(one, port) && one.hostIp === port.hostIp &&
      one.containerPort === port.containerPort
    )
  );
}

/**
 * Brings the kernel's table from one state of the book to another. Nothing is touched, nor loaded, if neither has ports.
 *
 * @param to must not have fewer than are to stay of `from`; what others have in the table stays.
 * @param state of the host; undefined if nothing is added.
 * @throws {KnetError} exit code 3 if ports are to be added and this host has no nftables.
 * @throws {NftablesError} if the kernel refuses.
 */
export function movePorts(
  from: readonly ContainerRecord[],
  to: readonly ContainerRecord[],
  state?: Pick<NodeState, "subnet" | "bridge">,
): void {
  const before = publishedPorts(from);
  const after = publishedPorts(to);
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  const gone = portMaps(before, EVERYWHERE);
  const here = portMaps(after, state?.subnet ?? EVERYWHERE);
  try {
    using nft = new Nftables();
    changePorts(nft, (present) => replaced(present, gone, here), state);
    if (state !== undefined) setParameters([loopback(state.bridge, hasLoopbackPorts(here))]);
  } catch (error) {
    const lacking = error instanceof MissingLibraryError || error instanceof NoNftablesError;
    if (!lacking) throw error;
    if (!hasPorts(here)) return; // Nothing was published either.
    throw new KnetError(`Cannot publish ports: ${messageOf(error)}`, {
      exitCode: 3,
      remedy: error.remedy,
      cause: error,
    });
  }
}

const EVERYWHERE = "0.0.0.0/0";

/** What is there, without what goes and with what is to be. */
function replaced(present: PortMaps, gone: PortMaps, here: PortMaps): PortMaps {
  return new Map([...here].map(([name, elements]) => {
    const leaving = new Set(gone.get(name));
    const keys = new Set(elements.map(keyOf));
    const stay = (present.get(name) ?? [])
      .filter((one) => !leaving.has(one) && !keys.has(keyOf(one)));
    return [name, [...stay, ...elements]] as const;
  }));
}

const keyOf = (element: string) => element.split(" : ")[0]!;

/**
 * Whether the kernel takes packets of the bridge for 127.0.0.1: answers to what this host itself sent there are such. knet's table
 * drops all others before.
 */
export function loopback(bridge: string, wanted: boolean): Parameter {
  return { name: ["net", "ipv4", "conf", bridge, "route_localnet"], value: wanted ? "1" : "0" };
}
