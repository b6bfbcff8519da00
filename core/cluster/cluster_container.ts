/**
 * A container as the whole cluster knows it: what its host says of it in the store. Pure.
 *
 * @module
 */
import { familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";

/** A port of the host that leads into a container. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Address of the host that it is at; all of them if absent. */
  readonly hostIp?: string;
}

/** One attached interface of a container. */
export interface ClusterContainer {
  /** The host that it is on. */
  readonly nodeId: string;
  /** What no two of a host have. */
  readonly key: string;
  /** What it is called; empty if it has no name. Two hosts may have containers of one name. */
  readonly name: string;
  /** Without prefix length. */
  readonly address: string;
  /** Name of the interface in the container; empty if its runtime makes it. */
  readonly ifname: string;
  /** The namespace as its host names it; empty if knet does not know it. */
  readonly netns: string;
  /** Who asked for it: `cni`, `docker`; empty for `knet attach`. */
  readonly runtime: string;
  /** The runtime's own id of it; may be empty. */
  readonly containerId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly PortMapping[];
}

/** One of these by the store's word. */
export interface StoredContainer extends ClusterContainer {
  /** The name of the host, by its lease. */
  readonly nodeName: string;
}

/** So many containers of one host are in the store at most. */
export const MOST_CONTAINERS_A_HOST = 4096;
/** Characters of JSON of a container's labels, or of its ports, that are kept. */
export const MOST_JSON = 2048;
/** Characters of a name, an id or a path that are kept. */
export const MOST_TEXT = 256;

/** What a container is called in messages and lists: its name, else its namespace, else its address. */
export function containerTitle(
  { name, netns, address }: Pick<ClusterContainer, "name" | "netns" | "address">,
): string {
  return name || netns || address;
}

/** Where a container is, as messages name it: `node-2/web (10.244.1.2)`. */
function placeText({ nodeName, ...container }: StoredContainer): string {
  const title = containerTitle(container);
  const where = `${visibleName(nodeName)}/${visibleName(title)}`;
  return title === container.address ? where : `${where} (${container.address})`;
}

/** More candidates are not named in a message. */
const MOST_CANDIDATES = 10;

/**
 * All that a word may mean: a name or a namespace; else an address, or the beginning of a runtime's id, of 6 characters at least.
 *
 * @param word `web`; `node-2/web` is the one of that host.
 */
export function containersCalled(
  containers: readonly StoredContainer[],
  word: string,
): StoredContainer[] {
  const ways: ((one: StoredContainer) => boolean)[] = [
    (one) => containerTitle(one) === word,
    ({ nodeName, nodeId, ...one }) =>
      [nodeName, nodeId].some((node) => `${node}/${containerTitle(one)}` === word),
    ({ netns, address, containerId }) =>
      word !== "" && [netns, address, containerId].includes(word),
    ({ containerId }) => word.length >= 6 && containerId.startsWith(word),
  ];
  for (const fits of ways) {
    const found = containers.filter(fits);
    if (found.length > 0) return found;
  }
  return [];
}

/**
 * The one container that a word means.
 *
 * @param action For the message: `Cannot show the container "web"`.
 * @throws {KnetError} exit code 4 if there is none, or if several may be meant; it names them.
 */
export function theContainer(
  action: string,
  containers: readonly StoredContainer[],
  word: string,
): StoredContainer {
  const found = containersCalled(containers, word);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) {
    throw new KnetError(`${action}: the cluster has no such container`, {
      exitCode: 4,
      remedy: 'Run "knet container ls" to see all',
    });
  }
  const shown = found.map(placeText).sort().slice(0, MOST_CANDIDATES);
  if (found.length > shown.length) shown.push(`${found.length - shown.length} more`);
  throw new KnetError(
    `${action}: ${found.length} containers may be meant: ${shown.join(", ")}`,
    { exitCode: 4, remedy: "Name it as NODE/NAME, or by its address" },
  );
}

/** Whether a text can be the name of a container: what runtimes allow, and a label of DNS could be made from. */
export function isContainerName(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/.test(text);
}

/**
 * Why no container of a host can be like this; undefined if it can.
 *
 * @param subnets Those that the host has leased: it speaks for no address of another.
 */
export function whyNoContainer(
  { address, key, name }: Pick<ClusterContainer, "address" | "key" | "name">,
  subnets: readonly string[],
): string | undefined {
  if (key === "") return "it has no key";
  if (name !== "" && !isContainerName(name)) return "its name is none that a container can have";
  const isOwn = subnets.some((subnet) =>
    parsePrefix(subnet).family === familyOf(address) && prefixContains(subnet, address)
  );
  return isOwn ? undefined : `${address} is outside its host's subnet ${subnets.join(", ")}`;
}

/**
 * What of a container is kept, where it has more than fits: long texts are cut off; of labels and ports as many as there is room for,
 * the first in their order.
 */
export function fittingContainer(container: ClusterContainer): ClusterContainer {
  const { name, labels, ports } = container;
  const cut = (text: string) => text.slice(0, MOST_TEXT);
  return {
    ...container,
    name: isContainerName(name) ? name : "",
    ifname: cut(container.ifname),
    netns: cut(container.netns),
    runtime: cut(container.runtime),
    containerId: cut(container.containerId),
    labels: Object.fromEntries(fitting(
      // In an order of their own: a label that comes must not push another out and in again.
      Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1),
    )),
    ports: fitting(ports),
  };
}

/** The first of a list whose JSON there is room for, one by one. */
function fitting<T>(list: readonly T[]): T[] {
  let room = MOST_JSON - 2;
  return list.filter((one) => {
    const { length } = JSON.stringify(one);
    if (length + 1 > room) return false;
    room -= length + 1;
    return true;
  });
}
