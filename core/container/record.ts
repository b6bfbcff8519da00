/**
 * What is kept of one attached interface of a container, and the shape that it has in the book. Pure.
 *
 * @module
 */
import * as v from "valibot";
import type { PortMapping } from "../cluster/cluster_container.ts";
import type { Bandwidth } from "./bandwidth.ts";

export type { PortMapping };

/** Who asked for a container's interface, where that was a runtime: an identity that does not return. */
export interface RuntimeIdentity {
  /** What it came by: `cni`, `docker`, `podman`. */
  readonly runtime: string;
  /** The runtime's own id of the container. */
  readonly containerId: string;
  /** The runtime's name of the network, where it has several. */
  readonly network?: string;
}

/** By which the book knows whom CNI's runtimes asked for. */
export const CNI_RUNTIME = "cni";

/** By which the book knows whom podman asked for, by netavark's plugin. */
export const PODMAN_RUNTIME = "podman";

/** The label with the namespace that a container's name is of, as Kubernetes' runtimes tell it. */
export const NAMESPACE_LABEL = "io.kubernetes.pod.namespace";

/** What a container is called. */
export interface ContainerNames {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** One attached interface of a container. */
export interface ContainerRecord extends Partial<RuntimeIdentity>, ContainerNames {
  /** The namespace as it was named at attach: a name under /run/netns, an absolute path, a process id. */
  readonly netns: string;
  /** `cookie:NUMBER` of the namespace; `device:inode` on kernels without cookies and in records of knet 0.1. */
  readonly netnsId: string;
  /** Name of the interface in the namespace. */
  readonly ifname: string;
  /** Without prefix length. */
  readonly address: string;
  readonly prefixLength: number;
  /** Name of the veth's end on the host. */
  readonly hostIfname: string;
  /** Of the interface in the namespace, if it was asked for; else it is made from the address. */
  readonly mac?: string;
  readonly ports?: readonly PortMapping[];
  /** What it may send and receive; absent: all that it can. */
  readonly bandwidth?: Bandwidth;
}

/** The address that a runtime's container had before the reboot: it gets it again, if it comes back before others need it. */
export interface FormerAddress extends RuntimeIdentity {
  readonly ifname: string;
  readonly address: string;
}

const IDENTITY = {
  runtime: v.string(),
  containerId: v.string(),
  network: v.exactOptional(v.string()),
};

const RATE_LIMIT = v.exactOptional(v.looseObject({ rate: v.number(), burst: v.number() }));

/** Records as they stand in the book. Those of knet 0.1 lack all that may be absent. */
export const RECORDS: v.GenericSchema<unknown, { containers: ContainerRecord[] }> = v.looseObject({
  containers: v.array(v.looseObject({
    runtime: v.exactOptional(v.string()),
    containerId: v.exactOptional(v.string()),
    network: v.exactOptional(v.string()),
    netns: v.string(),
    netnsId: v.string(),
    ifname: v.string(),
    address: v.string(),
    prefixLength: v.number(),
    hostIfname: v.string(),
    mac: v.exactOptional(v.string()),
    name: v.exactOptional(v.string()),
    labels: v.exactOptional(v.record(v.string(), v.string())),
    ports: v.exactOptional(v.array(v.looseObject({
      hostPort: v.number(),
      containerPort: v.number(),
      protocol: v.picklist(["tcp", "udp", "sctp"]),
      hostIp: v.exactOptional(v.string()),
    }))),
    bandwidth: v.exactOptional(v.looseObject({ ingress: RATE_LIMIT, egress: RATE_LIMIT })),
  })),
});

/** Former addresses as they stand in the book. */
export const FORMER: v.GenericSchema<unknown, FormerAddress[]> = v.array(
  v.looseObject({ ...IDENTITY, ifname: v.string(), address: v.string() }),
);

/** Whether a record, or a former one, is of this interface of a runtime's container. */
export function isRuntimes(
  record: Partial<RuntimeIdentity> & { readonly ifname: string },
  { runtime, containerId, network }: RuntimeIdentity,
  ifname: string,
): boolean {
  return record.ifname === ifname && record.runtime === runtime &&
    record.containerId === containerId && record.network === network;
}

/** What a container is called in messages: its name, else its runtime's id, else its namespace. */
export function shownName(
  record: Pick<ContainerRecord, "name" | "containerId" | "netns">,
): string {
  return record.name ?? record.containerId ?? record.netns;
}

/** Whether a text is the MAC address of a single interface, in lower case: neither a group's nor all zeros. */
export function isMac(text: string): boolean {
  return /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(text) && text !== "00:00:00:00:00:00";
}
