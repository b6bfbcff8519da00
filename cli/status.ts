/**
 * `knet status`: this host, its peers and its containers.
 *
 * @module
 */
import { mappingTexts } from "../core/container/port_request.ts";
import type { StatusReport } from "../core/inspect/status.ts";
import { tunnelDrops } from "../core/overlay/udp/drops.ts";
import { defineCommand } from "./command.ts";
import { milliseconds, paint, pairs, print, printJson, relative, table } from "./output.ts";
import type { Cell } from "./output.ts";
import { copiesText } from "./copies.ts";
import { storeUrlOf } from "./store.ts";

/** The command. */
export const status = defineCommand({
  name: "status",
  summary: "Show this host, its peers and its containers",
  about: [
    "Asks the agent over its socket; without an agent it looks into the kernel and the store by itself. For each peer it shows whether " +
    "route, neighbour and forwarding entry are in the kernel.",
  ],
  words: [],
  options: {},
  examples: [
    { line: "knet status", about: "for people" },
    { line: "knet status --json | jq '.peers[] | select(.route | not)'", about: "for programs" },
  ],
  run: async ({ settings }) => {
    // What was named has to be right even where the agent answers.
    if (settings.store !== undefined) await storeUrlOf(settings);
    const { collectStatus } = await import("../core/inspect/status.ts");
    const report = await collectStatus({
      storeUrl: () => storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(report);
    else print(statusText(report));
  },
});

/** The report for people. */
export function statusText(report: StatusReport, now = Date.now()): string {
  const parts = [summary(report, now)];
  parts.push(report.peers.length === 0 ? "No peers" : peers(report));
  if (report.containers.length > 0) parts.push(containers(report));
  if (report.warnings.length > 0) {
    parts.push(report.warnings.map((text) => `${paint("warn", "Warning:")} ${text}`).join("\n"));
  }
  return parts.join("\n\n");
}

function summary({ node, agent, store, tunnel }: StatusReport, now: number): string {
  const state = agent.running
    ? agent.ready ? paint("good", agent.state) : paint("warn", agent.state)
    : paint("bad", agent.state || "not running");
  const since = agent.since === undefined ? "" : `, started ${relative(agent.since, now)}`;
  const pid = agent.pid === undefined ? "" : ` (pid ${agent.pid}${since})`;
  const storeTone = store.state === "ok" ? "good" : store.state === "unknown" ? "warn" : "bad";
  const devices = [
    node.device ?? "",
    node.bridge ?? "",
    node.mtu === undefined ? "" : `MTU ${node.mtu}`,
  ].filter((part) => part !== "").join(", ");
  return pairs([
    ["node", [node.name, node.id].filter(Boolean).join(", ")],
    ["public ip", node.publicIp],
    ["subnet", node.subnet],
    ["lease", leaseLine(node.lease, store.clock ?? now)],
    ["backend", node.backend],
    ["devices", devices],
    ["tunnel", tunnelLine(tunnel)],
    ["agent", state + pid],
    [
      "store",
      `${store.url}: ${paint(storeTone, store.state)}${store.detail ? `, ${store.detail}` : ""}` +
      (store.since === undefined ? "" : ` (${relative(store.since, now)})`),
    ],
    ["copies", store.copies && copiesText(store.copies)],
    ["remedy", store.state === "different" ? store.remedy : undefined],
  ]);
}

function tunnelLine(tunnel: StatusReport["tunnel"]): string | undefined {
  if (tunnel === undefined) return undefined;
  const { sentPackets, receivedPackets } = tunnel.counters;
  const drops = tunnelDrops(tunnel).filter(([, , count]) => count > 0)
    .map(([direction, reason, count]) => `${count} ${direction} (${reason.replaceAll("_", " ")})`);
  return `${sentPackets} packets out, ${receivedPackets} in` +
    (drops.length === 0 ? "" : `; dropped: ${drops.join(", ")}`);
}

function leaseLine(lease: StatusReport["node"]["lease"], now: number): string | undefined {
  if (lease.acquired === 0) return undefined; // The store is away, or the lease is gone.
  if (lease.reserved) return "reserved, never expires";
  return `renewed ${relative(lease.renewed, now)}, expires ${relative(lease.expires, now)}`;
}

function mark(present: boolean): Cell {
  return present ? { text: "ok", tone: "good" } : { text: "missing", tone: "bad" };
}

function lossCell(loss: number | undefined): Cell {
  if (loss === undefined) return "";
  const text = `${Math.round(loss * 100)}%`;
  return loss === 0 ? text : { text, tone: loss > 0.5 ? "bad" : "warn" };
}

function peers(report: StatusReport): string {
  const tried = report.peers.some(({ probe }) => probe?.loss !== undefined);
  const columns = ["peer", "subnet", "public ip", "via", "route", "neighbour", "fdb"];
  return table(
    [...columns, ...(tried ? ["rtt", "loss"] : []), "note"],
    report.peers.map((peer) => [
      peer.name,
      peer.subnet,
      peer.publicIp,
      peer.via,
      mark(peer.route),
      // Only a tunnel device has neighbours and forwarding entries of ours.
      peer.via === "vxlan" ? mark(peer.neighbour) : "",
      peer.via === "vxlan" ? mark(peer.fdb) : "",
      ...(tried ? [roundTrip(peer.probe?.rtt), lossCell(peer.probe?.loss)] : []),
      [peer.expired ? "lease expired" : "", peer.warning ?? "", peer.probe?.fault ?? ""]
        .filter(Boolean).join("; "),
    ]),
  );
}

function roundTrip(rtt: number | undefined): string {
  return rtt === undefined ? "" : milliseconds(rtt);
}

function containers(report: StatusReport): string {
  const withPorts = report.containers.some(({ ports }) => ports !== undefined);
  return table(
    ["container", "interface", "address", ...(withPorts ? ["ports"] : []), "note"],
    report.containers.map(({ ifname, address, stranded, ports = [], ...names }) => [
      containerLabel(names),
      ifname,
      address,
      ...(withPorts ? [mappingTexts(ports).join(", ")] : []),
      stranded ? { text: "stranded: attach it again", tone: "warn" } : "",
    ]),
  );
}

/** `web (cni 3f2a…)`, or the namespace as it was attached. */
function containerLabel(
  { netns, name, runtime, containerId }: {
    readonly netns: string;
    readonly name?: string;
    readonly runtime?: string;
    readonly containerId?: string;
  },
): string {
  if (runtime === undefined) return name ?? netns;
  const origin = `${runtime} ${containerId?.slice(0, 12) ?? ""}`.trim();
  return name === undefined ? origin : `${name} (${origin})`;
}
