/**
 * `knet netcheck`: the paths from each host to each.
 *
 * @module
 */
import type { LookReport, PathsReport } from "../core/inspect/probe/look.ts";
import { defineCommand } from "./command.ts";
import { type Cell, milliseconds, paint, print, printJson, table } from "./output.ts";
import { lookText } from "./ping.ts";

/** How many hosts fit a matrix that people read. */
const MOST_COLUMNS = 12;
/** Peers that are looked at closely without being asked for. */
const MOST_LOOKS = 20;

/** The command. */
export const netcheck = defineCommand({
  name: "netcheck",
  summary: "Try the paths between all hosts, and tell what is wrong",
  about: [
    "Asks the agents of all hosts what they know of their paths, and has this host's agent look closely at its own: round-trip and " +
    "loss, path MTU, whether the tunnel's port passes both ways, ways that differ there and back, rewritten sources, broken offloads. " +
    "The exit status is 1 if anything is wrong.",
  ],
  words: [],
  options: {},
  examples: [
    { line: "knet netcheck", about: "after the last host has joined, and when something hangs" },
    { line: "knet netcheck --json", about: "for programs" },
  ],
  run: async ({ settings }) => {
    const { allPaths, lookAt } = await import("../core/inspect/probe/look.ts");
    const { told, silent } = await allPaths(settings.stateDir);
    const peers = told[0]?.paths.map(({ peer }) => peer) ?? [];
    const looks: LookReport[] = [];
    const failed: string[] = [];
    for (const peer of peers.slice(0, MOST_LOOKS)) {
      await lookAt(settings.stateDir, peer).then(
        (report) => looks.push(report),
        () => failed.push(peer),
      );
    }
    if (settings.json) printJson({ told, silent, looks });
    else print(netcheckText(told, [...silent, ...failed], looks));
    const wrong = looks.some(({ findings }) => findings.length > 0) ||
      told.some(({ paths }) => paths.some(({ fault }) => fault !== undefined));
    return wrong ? 1 : 0;
  },
});

/** What one host says of the path to another. */
function pathCell(path: PathsReport["paths"][number] | undefined): Cell {
  if (path === undefined) return "";
  if (path.fault !== undefined) return { text: path.fault, tone: "bad" };
  if (path.rtt === undefined) return "?";
  const rtt = milliseconds(path.rtt);
  return (path.loss ?? 0) > 0
    ? { text: `${rtt}, ${Math.round(path.loss! * 100)}% lost`, tone: "warn" }
    : { text: rtt, tone: "good" };
}

/** The report for people: a matrix of small clusters, lines of large ones, and this host's own paths closely. */
export function netcheckText(
  told: readonly PathsReport[],
  silent: readonly string[],
  looks: readonly LookReport[],
): string {
  const parts: string[] = [];
  const hosts = [
    ...new Set(told.flatMap(({ node, paths }) => [node, ...paths.map((p) => p.peer)])),
  ].toSorted();
  if (hosts.length <= MOST_COLUMNS) {
    parts.push(table(
      ["from / to", ...hosts],
      told.toSorted((a, b) => a.node < b.node ? -1 : 1).map(({ node, paths }) => [
        node,
        ...hosts.map((to) => to === node ? "" : pathCell(paths.find(({ peer }) => peer === to))),
      ]),
    ));
  } else {
    const wrong = told.flatMap(({ node, paths }) =>
      paths.filter(({ fault }) => fault !== undefined).map((path) => [node, path.peer, path.fault!])
    );
    parts.push(
      wrong.length > 0
        ? table(["from", "to", "wrong"], wrong)
        : `${hosts.length} hosts, nothing wrong on the paths between them`,
    );
  }
  if (silent.length > 0) {
    parts.push(
      `${paint("warn", "Not told by")} ${[...new Set(silent)].join(", ")}: ` +
        "it is of an older version, its agent does not run, or it cannot be reached",
    );
  }
  parts.push(...looks.filter(({ findings }) => findings.length > 0).map(lookText));
  const wrong = looks.flatMap(({ findings }) => findings).length;
  if (wrong === 0 && !told.some(({ paths }) => paths.some(({ fault }) => fault !== undefined))) {
    parts.push(paint("good", "Nothing is wrong on the paths that were tried"));
  }
  return parts.join("\n\n");
}
