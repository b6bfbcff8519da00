/**
 * `knet container`: the containers of all hosts, by what their agents say in the store. Needs no root.
 *
 * @module
 */
import { isExpired } from "../core/cluster/allocate.ts";
import { type StoredContainer, theContainer } from "../core/cluster/cluster_container.ts";
import { visibleName } from "../core/base/visible.ts";
import { mappingTexts } from "../core/container/port_request.ts";
import { defineCommand } from "./command.ts";
import type { CommandGroup } from "./command.ts";
import { selectLease } from "./lease_view.ts";
import { type Cell, pairs, print, printJson, table } from "./output.ts";
import { value } from "./option_table.ts";
import { withContainerView } from "./store.ts";
import { text } from "./value_checks.ts";

const STALE =
  "Each host's agent tells the store within seconds of what comes and goes. What a host said stays until its lease goes: behind a host " +
  "that is shown as expired, it may be old.";

const list = defineCommand({
  name: "container ls",
  hardlyLogs: true,
  summary: "List the containers of all hosts",
  about: [STALE],
  words: [],
  options: {
    node: value("NODE", "Only those of this host: its name, id or subnet", text, {
      complete: "lease",
    }),
  },
  examples: [
    { line: "knet container ls", about: "the cluster's" },
    { line: "knet container ls --node host-3 --json", about: "one host's, for programs" },
  ],
  run: ({ options: { node }, settings }) =>
    withContainerView(settings, async (store) => {
      const { leases, now } = await store.listLeases();
      const nodeId = node === undefined
        ? undefined
        : selectLease(`Cannot list the containers of host "${node}"`, leases, node).nodeId;
      const { containers } = await store.listContainers(nodeId === undefined ? {} : { nodeId });
      const expired = new Set(
        leases.filter((lease) => isExpired(lease, now)).map((lease) => lease.nodeId),
      );
      containers.sort(byPlace);
      if (settings.json) {
        printJson({
          containers: containers.map((one) => documentOf(one, expired.has(one.nodeId))),
        });
      } else print(containers.length === 0 ? "No containers" : tableOf(containers, expired));
    }),
});

const show = defineCommand({
  name: "container show",
  hardlyLogs: true,
  summary: "Show one container in full",
  words: [{
    name: "NAME",
    help: "Its name, NODE/NAME, namespace, address, or the beginning of its runtime's id",
    complete: "container",
  }],
  options: {},
  examples: [
    { line: "knet container show db", about: "by name, if no other has it" },
    { line: "knet container show host-3/db", about: "the one of that host" },
  ],
  run: ({ words, settings }) =>
    withContainerView(settings, async (store) => {
      const word = words[0]!;
      const { containers } = await store.listContainers();
      const one = theContainer(`Cannot show the container "${word}"`, containers, word);
      const { leases, now } = await store.listLeases();
      const expired = leases.some((lease) => lease.nodeId === one.nodeId && isExpired(lease, now));
      if (settings.json) printJson(documentOf(one, expired));
      else print(pairsOf(one, expired));
    }),
});

/** The command. */
export const container: CommandGroup = {
  name: "container",
  summary: "List and show the containers of all hosts",
  commands: [list, show],
};

function byPlace(a: StoredContainer, b: StoredContainer): number {
  return a.nodeName.localeCompare(b.nodeName, "en", { numeric: true }) ||
    a.nodeId.localeCompare(b.nodeId) ||
    a.address.localeCompare(b.address, "en", { numeric: true });
}

/** A container as a stable JSON document. What there is not is empty. */
function documentOf(one: StoredContainer, expired: boolean): Record<string, unknown> {
  return {
    name: one.name,
    address: one.address,
    nodeName: one.nodeName,
    nodeId: one.nodeId,
    hostExpired: expired,
    ifname: one.ifname,
    netns: one.netns,
    runtime: one.runtime,
    containerId: one.containerId,
    labels: one.labels,
    ports: one.ports,
  };
}

function tableOf(containers: readonly StoredContainer[], expired: ReadonlySet<string>): string {
  const host = ({ nodeName, nodeId }: StoredContainer): Cell =>
    expired.has(nodeId) ? { text: `${nodeName} (expired)`, tone: "warn" } : nodeName;
  return table(
    ["container", "address", "host", "runtime", "id", "ports"],
    containers.map((one) => [
      one.name || one.netns,
      one.address,
      host(one),
      one.runtime,
      one.containerId.slice(0, 12),
      mappingTexts(one.ports).join(", "),
    ]),
  );
}

function pairsOf(one: StoredContainer, expired: boolean): string {
  const labels = Object.entries(one.labels).sort(([a], [b]) => a < b ? -1 : 1);
  return pairs([
    ["name", one.name || undefined],
    ["address", one.address],
    ["host", `${one.nodeName}${expired ? " (lease expired)" : ""}`],
    ["node id", one.nodeId],
    ["interface", one.ifname || undefined],
    ["namespace", one.netns || undefined],
    ["runtime", one.runtime || undefined],
    ["id", one.containerId || undefined],
    ["ports", mappingTexts(one.ports).join(", ") || undefined],
    ...labels.map(([name, text]) => ["label", visibleName(`${name}=${text}`, 400)] as const),
  ]);
}
