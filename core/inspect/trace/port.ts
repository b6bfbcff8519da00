/**
 * The way to a published port: an address of a host, whose table leads on into one of its containers.
 *
 * @module
 */
import { Nftables, NoNftablesError } from "../../../ffi/libnftables.ts";
import { MissingLibraryError } from "../../../ffi/load.ts";
import { canonicalAddress, familyOf } from "../../base/address.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { containerTitle, type StoredContainer } from "../../cluster/cluster_container.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import type { ContainerRecord } from "../../container/addresses.ts";
import { listenerAt, ownerOfSocket, ownerText, readListeners } from "../../container/listeners.ts";
import { portText } from "../../container/port_request.ts";
import { type PortMapping, shownName } from "../../container/record.ts";
import type { Service } from "../../services/service.ts";
import { portMaps, readPorts } from "../../kernel/firewall/firewall.ts";
import { broken, doubtful, fine, type TraceStep } from "./step.ts";

/** A port of a host, as people write it: `HOST:PORT[/PROTOCOL]`. */
export interface PortWord {
  /** An address, or the name of a host. */
  readonly host: string;
  readonly port: number;
  readonly protocol: PortMapping["protocol"];
}

/** A port of a certain host. */
export interface HostPort extends Omit<PortWord, "host"> {
  readonly address: string;
  /** The host; undefined if it is this one. */
  readonly peer?: Lease;
}

/** Reads a word; undefined if it is no port. Pure. */
export function portWord(word: string): PortWord | undefined {
  const parts = /^(?:\[([^\]]+)\]|([^\s:[\]]+)):([0-9]{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(word);
  if (parts === null) return undefined;
  const [, six, name, port, protocol = "tcp"] = parts;
  if (Number(port) < 1 || Number(port) > 65535) return undefined;
  return {
    host: (six ?? name)!,
    port: Number(port),
    protocol: protocol.toLowerCase() as PortMapping["protocol"],
  };
}

/**
 * Services at a port of a virtual IP, which is no host's; undefined if the address is none. Pure.
 *
 * @throws {KnetError} exit code 2 if none is at that port.
 */
export function servicesAt(
  { host, port, protocol }: PortWord,
  services: readonly Service[],
): Service[] | undefined {
  const address = safeAddress(host);
  const there = services.filter(({ vip }) => vip === address);
  if (there.length === 0) return undefined;
  const found = there.filter((one) => one.port === port && one.protocol === protocol);
  if (found.length > 0) return found;
  throw new KnetError(
    `Cannot trace to ${host}, port ${port}/${protocol}: no service is at that port of it`,
    { exitCode: 2, remedy: "Look at the services: knet svc ls" },
  );
}

/**
 * Whose port it is. Pure.
 *
 * @param own addresses of this host.
 * @throws {KnetError} exit code 2 if it is no host's.
 */
export function hostPort(
  { host, port, protocol }: PortWord,
  state: Pick<NodeState, "nodeId" | "nodeName" | "publicIp">,
  leases: readonly Lease[],
  own: readonly string[],
): HostPort {
  const what = `Cannot trace to port ${port} of "${host}"`;
  const of = (address: string, peer?: Lease): HostPort => {
    if (familyOf(address) === 4) return { address, port, protocol, ...(peer && { peer }) };
    throw new KnetError(`${what}: ports are published at IPv4 addresses`, {
      exitCode: 2,
      remedy: "Give an IPv4 address of the host",
    });
  };
  const address = safeAddress(host);
  if (host === state.nodeName) return of(state.publicIp);
  const peer = leases.find((lease) =>
    lease.nodeId !== state.nodeId && (lease.nodeName === host || lease.publicIp === address)
  );
  if (peer !== undefined) return of(peer.publicIp, peer);
  if (address?.startsWith("127.")) {
    throw new KnetError(`${what}: in a container, that is the container itself`, {
      exitCode: 2,
      remedy: "Give another address of the host",
    });
  }
  if (address !== undefined && (own.includes(address) || address === state.publicIp)) {
    return of(address);
  }
  throw new KnetError(`${what}: it is no host of the cluster, and those have the published ports`, {
    exitCode: 2,
    remedy: "Give a host's address or name, or leave the port away",
  });
}

function safeAddress(word: string): string | undefined {
  try {
    return canonicalAddress(word);
  } catch {
    return undefined;
  }
}

/** Who of several has published a port; one at that very address before those at all. Pure. */
export function publisherOf<C extends { readonly ports?: readonly PortMapping[] }>(
  { address, port, protocol }: HostPort,
  containers: readonly C[],
): { readonly container: C; readonly mapping: PortMapping } | undefined {
  const found = containers.flatMap((container) =>
    (container.ports ?? []).filter((one) =>
      one.hostPort === port && one.protocol === protocol &&
      (one.hostIp === undefined || one.hostIp === address)
    ).map((mapping) => ({ container, mapping }))
  );
  return found.find(({ mapping }) => mapping.hostIp !== undefined) ?? found[0];
}

const named = ({ address, port, protocol }: HostPort) =>
  portText({ hostIp: address, hostPort: port, protocol });

/** What this host's table makes of a port that one of its containers has published. */
export function translationStep(
  asked: HostPort,
  record: ContainerRecord,
  mapping: PortMapping,
  { subnet, gateway }: NodeState,
): TraceStep {
  const to = `"${shownName(record)}", ${record.address} port ${mapping.containerPort}`;
  const wanted = portMaps([{ ...mapping, address: record.address }], subnet);
  const [name, [element] = []] = [...wanted].find(([, elements]) => elements.length > 0) ?? [];
  const detail = `${named(asked)} is published: it goes to ${to}, as from ${gateway}`;
  const remedy = "The agent puts it there: knet join";
  if (name === undefined || element === undefined) {
    return broken("port", `${named(asked)} is published for ${to}, out of ${subnet}`, remedy);
  }
  try {
    using nft = new Nftables();
    const entry = `map ${name} { ${element} }`;
    if (readPorts(nft)?.get(name)?.includes(element)) return fine("port", detail, entry);
    return broken(
      "port",
      `${named(asked)} is to go to ${to}, but the kernel's table lacks it`,
      remedy,
    );
  } catch (error) {
    if (!(error instanceof MissingLibraryError || error instanceof NoNftablesError)) throw error;
    return doubtful(
      "port",
      `${detail}; the table cannot be seen: ${messageOf(error)}`,
      error.remedy,
    );
  }
}

/** What becomes of a port of this host that no container of knet's has published: somebody on the host may listen there. */
export function unpublishedStep(asked: HostPort): TraceStep {
  const place = { hostIp: asked.address, hostPort: asked.port, protocol: asked.protocol };
  const listener = listenerAt(place, readListeners(new Set([asked.protocol])));
  const detail = `no container has published ${named(asked)} by knet`;
  if (listener === undefined) {
    return broken(
      "port",
      `${detail}, and nobody on this host listens there`,
      `knet attach NETNS --publish ${asked.port}:PORT; Docker's own are in its rules: docker ps`,
    );
  }
  const owner = ownerText(listener.inode, ownerOfSocket(listener.inode));
  return fine("port", `${detail}: it is for ${owner}`);
}

/** What another host has told the store of a port of it. Pure. */
export function remotePortStep(
  asked: HostPort,
  peer: Lease,
  containers: readonly StoredContainer[],
  note: string | undefined,
): TraceStep {
  const there = containers.filter(({ nodeId }) => nodeId === peer.nodeId);
  const found = publisherOf(asked, there);
  const host = `"${peer.nodeName}"`;
  if (found !== undefined) {
    const { container, mapping } = found;
    return fine(
      "port",
      `${named(asked)} is published on ${host}: it goes to "${
        containerTitle(container)
      }", ${container.address} port ${mapping.containerPort}`,
    );
  }
  return doubtful(
    "port",
    `no container of ${host} has published ${named(asked)} by the store's word`,
    note ?? `On ${peer.nodeName}: knet status shows what is published`,
  );
}
