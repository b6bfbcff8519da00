/**
 * What a host tells the cluster of its containers, by its book. Pure.
 *
 * @module
 */
import type { ClusterContainer } from "../cluster/cluster_container.ts";
import type { HeldAddress } from "./held.ts";
import type { ContainerRecord } from "./record.ts";

/** Containers of the book, and addresses that a runtime holds for those that it attaches itself. */
export function toldContainers(
  nodeId: string,
  book: readonly ContainerRecord[],
  held: readonly HeldAddress[] = [],
): ClusterContainer[] {
  const told = book.map((record): ClusterContainer => ({
    nodeId,
    key: record.hostIfname,
    name: record.name ?? "",
    address: record.address,
    ifname: record.ifname,
    netns: record.netns,
    runtime: record.runtime ?? "",
    containerId: record.containerId ?? "",
    labels: record.labels ?? {},
    ports: record.ports ?? [],
  }));
  const others = held.map(({ address, runtime }): ClusterContainer => ({
    nodeId,
    key: `${runtime} ${address}`,
    ...{ name: "", address, ifname: "", netns: "" },
    ...{ runtime, containerId: "", labels: {}, ports: [] },
  }));
  return [...told, ...others];
}
