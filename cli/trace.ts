/**
 * `knet trace`: explains the way a packet takes.
 *
 * @module
 */
import type { TraceReport } from "../core/inspect/trace/trace.ts";
import { defineCommand } from "./command.ts";
import { paint, print, printJson } from "./output.ts";
import type { Tone } from "./output.ts";
import { storeUrlOf } from "./store.ts";

const MARKS: Record<string, readonly [word: string, tone: Tone]> = {
  ok: ["ok", "good"],
  warn: ["warn", "warn"],
  broken: ["LOST", "bad"],
};

/** The command. */
export const trace = defineCommand({
  name: "trace",
  summary: "Explain the way a packet takes, step by step",
  about: [
    "Follows a packet from a container of this host through the live tables of the kernel: container, bridge, route, " +
    "neighbour, forwarding database, outer packet; of the receiving host it shows what its lease says. Sends nothing. " +
    "Where the way breaks it says at which step and what to do; the exit status is 1 then.",
  ],
  words: [
    {
      name: "SOURCE",
      help: "A container of this host: namespace, name or address",
      complete: "netns",
    },
    {
      name: "DESTINATION",
      help:
        "An address, a container of this host, the name of one of any host, or HOST:PORT, a published port",
      complete: "netns",
    },
  ],
  options: {},
  examples: [
    { line: "knet trace web 10.244.3.2", about: "from the container web to one on another host" },
    { line: "knet trace web db", about: "to the one that is called db, wherever it is" },
    { line: "knet trace web h2:8080", about: "to a published port, and into its container" },
    { line: "knet trace 10.244.1.2 192.0.2.1 --json", about: "out of the cluster, as JSON" },
  ],
  run: async ({ words, settings }) => {
    const { trace } = await import("../core/inspect/trace/trace.ts");
    const report = await trace({
      source: words[0]!,
      destination: words[1]!,
      storeUrl: await storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(report);
    else print(traceText(report));
    return report.passes ? 0 : 1;
  },
});

/** The report for people: every step numbered, the kernel's entry below it. */
export function traceText(report: TraceReport): string {
  const { source, destination, steps, passes } = report;
  const place = ({ node, publicIp }: TraceReport["source"]) =>
    node === undefined ? "" : ` on ${node} (${publicIp})`;
  const name = (end: TraceReport["source"]) =>
    end.port !== undefined
      ? `${end.address}:${end.port}/${end.protocol}`
      : end.name === undefined && end.container === undefined
      ? end.address
      : `${end.name ?? end.container} (${end.address})`;
  const lines = [
    `${name(source)}${place(source)} to ${name(destination)}${place(destination)}`,
    "",
  ];
  steps.forEach(({ step, status, detail, entry, remedy }, at) => {
    const [word, tone] = MARKS[status]!;
    lines.push(`${at + 1}. ${paint(tone, word.padEnd(4))}  ${step}: ${detail}`);
    if (entry !== undefined) lines.push(`         ${entry}`);
    if (remedy !== undefined) lines.push(`         ${paint("bold", "->")} ${remedy}`);
  });
  const last = steps.at(-1);
  const verdict = passes
    ? paint("good", "Nothing on this host stands in the way")
    : paint("bad", `The packet is lost at step ${steps.length}, ${last?.step}`);
  return `${lines.join("\n")}\n\n${verdict}`;
}
