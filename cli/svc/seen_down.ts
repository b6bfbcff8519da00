/**
 * `knet svc status --hosts`: which hosts see which real servers down.
 *
 * @module
 */
import { visibleName } from "../../core/base/visible.ts";
import type { PathsReport } from "../../core/inspect/probe/look.ts";
import { paint, print, printJson, table } from "../output.ts";
import type { Settings } from "../settings.ts";

/** A real server that some hosts see down. */
export interface Disputed {
  readonly service: string;
  readonly realServer: string;
  /** The hosts that see it down, each with its reason. */
  readonly down: readonly { readonly node: string; readonly detail: string }[];
  /** The hosts that do not. */
  readonly up: readonly string[];
}

/** What hosts say, by real server. */
export function bySeenDown(told: readonly PathsReport[]): Disputed[] {
  const telling = told.filter(({ down }) => down !== undefined);
  const found = new Map<string, Disputed & { down: { node: string; detail: string }[] }>();
  for (const { node, down = [] } of telling) {
    for (const { service, realServer, detail } of down) {
      const key = JSON.stringify([service, realServer]);
      const one = found.get(key) ?? { service, realServer, down: [], up: [] };
      one.down.push({ node, detail });
      found.set(key, one);
    }
  }
  return [...found.values()]
    .map((one) => {
      const seeing = new Set(one.down.map(({ node }) => node));
      return { ...one, up: telling.map(({ node }) => node).filter((node) => !seeing.has(node)) };
    })
    .sort((a, b) => `${a.service} ${a.realServer}` < `${b.service} ${b.realServer}` ? -1 : 1);
}

/** Names of hosts, of many the first. */
function names(hosts: readonly string[]): string {
  const shown = hosts.slice(0, 5).map((one) => visibleName(one)).join(", ");
  return hosts.length > 5 ? `${shown} and ${hosts.length - 5} more` : shown;
}

/** The same for people. */
export function seenDownText(told: readonly PathsReport[], silent: readonly string[]): string {
  const disputed = bySeenDown(told);
  const telling = told.filter(({ down }) => down !== undefined).map(({ node }) => node);
  const mute = [
    ...silent,
    ...told.filter(({ down }) => down === undefined).map(({ node }) => node),
  ];
  const parts = [
    disputed.length === 0
      ? `No real server fails a check of the hosts that tell: ${names(telling)}`
      : table(
        ["service", "real server", "down on", "not on", "reason"],
        disputed.map(({ service, realServer, down, up }) => [
          visibleName(service),
          visibleName(realServer),
          { text: names(down.map(({ node }) => node)), tone: up.length === 0 ? "bad" : "warn" },
          names(up),
          visibleName([...new Set(down.map(({ detail }) => detail))].filter(Boolean).join("; ")),
        ]),
      ),
  ];
  if (mute.length > 0) parts.push(`${paint("warn", "Do not tell:")} ${names(mute)}`);
  return parts.join("\n\n");
}

/** Asks all hosts, and shows it. */
export async function showHosts(settings: Settings): Promise<void> {
  const { allPaths } = await import("../../core/inspect/probe/look.ts");
  const { told, silent } = await allPaths(settings.stateDir);
  if (settings.json) printJson({ realServers: bySeenDown(told), silent });
  else print(seenDownText(told, silent));
}
