/**
 * `knet ping`: real packets to a peer, a container or a service, and what became of them.
 *
 * @module
 */
import type { LookReport, Tally } from "../core/inspect/probe/look.ts";
import { KnetError } from "../core/base/error.ts";
import { askAgent } from "../core/inspect/ask_agent.ts";
import { defineCommand } from "./command.ts";
import { milliseconds, paint, print, printJson } from "./output.ts";
import type { Settings } from "./settings.ts";
import { withStore } from "./store.ts";

/** The command. */
export const ping = defineCommand({
  name: "ping",
  summary: "Send packets to a peer, container or service, and tell how they fare",
  about: [
    "Has this host's agent send packets through the overlay and beside it: round-trip and loss, the path's MTU with don't-fragment, " +
    "and a TCP connection with more than a few packets. A peer is named by its name, node id, subnet or address; a container by its " +
    "name or address; of a service all real servers are tried. Without a word, all peers. The exit status is 1 if " +
    "anything is wrong.",
  ],
  words: [{
    name: "TARGET",
    help: "A peer, a container or a service; none is all peers",
    optional: true,
    complete: "lease",
  }],
  options: {},
  examples: [
    { line: "knet ping", about: "all peers" },
    { line: "knet ping node-2", about: "one" },
    { line: "knet ping 10.244.3.2", about: "a container on any host" },
    { line: "knet ping web", about: "the real servers of the service web" },
  ],
  run: async ({ words, settings }) => {
    const { lookAt } = await import("../core/inspect/probe/look.ts");
    const reports: LookReport[] = [];
    for (const target of await targetsOf(settings, words[0])) {
      const report = await lookAt(settings.stateDir, target);
      reports.push(report);
      if (!settings.json) print(`${reports.length > 1 ? "\n" : ""}${lookText(report)}`);
    }
    if (settings.json) printJson(reports);
    else if (reports.length === 0) print("No peers");
    return reports.some(({ findings }) => findings.length > 0) ? 1 : 0;
  },
});

/** What a word names: all peers without one, a container's address, a service's real servers, a container of another host, else itself. */
async function targetsOf(settings: Settings, word: string | undefined): Promise<string[]> {
  const { stateDir } = settings;
  const { readServicesReport, readStatusReport } = await import("../core/inspect/report_shape.ts");
  const body = await askAgent(stateDir, "/status");
  if (body === undefined) return [word ?? "peer"];
  const { peers, containers } = readStatusReport(body);
  if (word === undefined) return peers.filter(({ via }) => via !== "none").map((one) => one.nodeId);
  const names = peers.flatMap((one) => [one.name, one.nodeId, one.subnet, one.publicIp]);
  if (names.includes(word)) return [word];
  const container = containers.find(({ name, netns, containerId }) =>
    [name, netns, containerId].includes(word)
  );
  if (container !== undefined) return [container.address.replace(/\/.*/, "")];
  const services = await askAgent(stateDir, "/services");
  const service = services === undefined
    ? undefined
    : readServicesReport(services).services.find(({ name }) => name === word);
  if (service === undefined) return [await onAnyHost(settings, word)];
  const addresses = new Set(service.realServers.map(({ address }) => address));
  if (addresses.size > 0) return [...addresses];
  throw new KnetError(`Cannot try the service "${word}": it has no real servers`, {
    remedy: `Add one: knet svc to ${word} ADDRESS:PORT`,
  });
}

/** The address of the container that any host calls so; the word itself if none does, or the store does not answer. */
async function onAnyHost(settings: Settings, word: string): Promise<string> {
  if (/^[\d.]+$|:/.test(word)) return word;
  const { containersCalled, theContainer } = await import("../core/cluster/cluster_container.ts");
  const { containers } = await withStore(settings, (store) => store.listContainers())
    .catch(() => ({ containers: [] }));
  if (containersCalled(containers, word).length === 0) return word;
  return theContainer(`Cannot try the path to "${word}"`, containers, word).address;
}

function tallyText({ sent, received, rtt }: Tally): string {
  const count = `${received} of ${sent} answered`;
  const text = rtt === undefined
    ? count
    : `${count}, round-trip ${milliseconds(rtt.min)} to ${milliseconds(rtt.max)}`;
  return received === sent ? text : paint(received === 0 ? "bad" : "warn", text);
}

/** The report for people. */
export function lookText(report: LookReport): string {
  const { target, via, mtu, hops, tcp, findings } = report;
  const where = target.publicIp === undefined
    ? target.address
    : `${target.address}, at ${target.publicIp} by ${via}`;
  const lines: [string, string][] = [];
  const add = (name: string, text: string) => void lines.push([name, text]);
  if (report.through !== undefined) add("through the overlay", tallyText(report.through));
  add(report.through === undefined ? "icmp" : "icmp, through", tallyText(report.echoThrough));
  if (report.beside !== undefined) add("beside it", tallyText(report.beside));
  if (report.echoBeside !== undefined) add("icmp, beside", tallyText(report.echoBeside));
  const path = mtu.path === 0 ? "nothing passes" : `${mtu.path} bytes pass`;
  add("mtu", `${path}, the overlay's MTU is ${mtu.overlay}`);
  if (tcp !== undefined) add("tcp", tcp.passed ? tcp.detail : paint("bad", tcp.detail));
  if (hops !== undefined) add("routers", `${hops.there} there, ${hops.back} back`);
  const width = Math.max(...lines.map(([name]) => name.length));
  const name = target.name === target.address ? "" : `${paint("bold", target.name)} `;
  return [
    name === "" ? paint("bold", where) : `${name}(${where})`,
    ...lines.map(([what, text]) => `  ${what.padEnd(width)}  ${text}`),
    ...findings.map((text) => `  ${paint("bad", "->")} ${text}`),
  ].join("\n");
}
