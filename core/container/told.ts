/**
 * What a host tells the cluster of its containers, by its book. Pure.
 *
 * @module
 */
import type { ClusterContainer } from "../cluster/cluster_container.ts";
import { DOCKER_RUNTIME } from "./docker/network.ts";
import type { HeldAddress } from "./held.ts";
import type { ContainerRecord } from "./record.ts";

/** What a runtime says of a container that it attaches itself. */
export type RuntimesWord = Pick<ClusterContainer, "name" | "containerId" | "labels" | "ports">;

/**
 * Containers of the book, and those that a runtime attaches itself to an address that it holds.
 *
 * @param named What is known of these, by address.
 */
export function toldContainers(
  nodeId: string,
  book: readonly ContainerRecord[],
  held: readonly HeldAddress[] = [],
  named: ReadonlyMap<string, RuntimesWord> = new Map(),
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
    ...(runtime === DOCKER_RUNTIME && named.get(address)),
  }));
  return [...told, ...others];
}
