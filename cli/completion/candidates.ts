/**
 * What completion scripts ask knet itself: names that stand in the store. Behind the word `__complete` stand the words typed so far,
 * without `knet` and without the one that is being typed.
 *
 * It is asked at every press of a key. So it makes nothing, says nothing but candidates, and gives up soon.
 *
 * @module
 */
import type { Store } from "../../core/store/store.ts";
import type { Command, CommandEntry } from "../command.ts";
import type { OptionTable } from "../option_table.ts";
import { globalOptions } from "../shared_options.ts";

/** What knet itself is asked for. */
export type StoredKind = "lease" | "service" | "server" | "container";

const STORED: ReadonlySet<string> = new Set<StoredKind>([
  "lease",
  "service",
  "server",
  "container",
]);

/** Whether a kind of words is looked up in the store. */
export function isStored(kind: string | undefined): kind is StoredKind {
  return kind !== undefined && STORED.has(kind);
}

/** Milliseconds after which nothing is offered. */
const PATIENCE = 1500;

/** A name could hold anything, and a shell would run it: what is offered needs no quotation marks. */
const HARMLESS = /^[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*$/;

/** What stands at the place that is being typed. */
export interface Place {
  readonly kind: StoredKind;
  /** Operands of the command so far. */
  readonly operands: readonly string[];
  /** Options of every command with a value. */
  readonly given: Readonly<Record<string, string>>;
}

/**
 * Finds what is being typed.
 *
 * @param typed Words so far. To bash `--flag=value` is three.
 */
export async function placeOf(
  typed: readonly string[],
  commands: readonly CommandEntry[],
): Promise<Place | undefined> {
  const given: Record<string, string> = {};
  const operands: string[] = [];
  let command: Command | undefined;
  let group: readonly Command[] = [];
  let table: OptionTable = globalOptions;
  for (let at = 0; at < typed.length; at++) {
    const word = typed[at]!;
    const [name, inline] = word.split(/=(.*)/s, 2) as [string, string?];
    if (word.startsWith("-")) {
      const option = Object.hasOwn(table, name.slice(2)) ? table[name.slice(2)] : undefined;
      if (option?.kind !== "value" || inline !== undefined) {
        if (inline !== undefined) given[name.slice(2)] = inline;
        continue;
      }
      if (typed[at + 1] === "=") at++;
      if (at + 1 >= typed.length) {
        return isStored(option.complete) ? { kind: option.complete, operands, given } : undefined;
      }
      given[name.slice(2)] = typed[++at]!;
    } else if (command !== undefined) operands.push(word);
    else if (group.length > 0) command = group.find((one) => one.name.endsWith(` ${word}`));
    else {
      const loaded = await commands.find((entry) => entry.name === word)?.load();
      if (loaded === undefined) return undefined;
      if ("run" in loaded) command = loaded;
      else group = loaded.commands;
    }
    if (command !== undefined) table = { ...globalOptions, ...command.options };
  }
  const kind = command?.words[operands.length]?.complete;
  return isStored(kind) ? { kind, operands, given } : undefined;
}

async function lookUp(store: Store, { kind, operands }: Place): Promise<string[]> {
  if (kind === "lease") {
    const { leases } = await store.listLeases();
    const names = leases.map(({ nodeName }) => nodeName);
    // A name that several have is none to go by.
    const unique = names.filter((name) => names.indexOf(name) === names.lastIndexOf(name));
    return [...unique, ...leases.map(({ subnet }) => subnet)];
  }
  if (kind === "container") {
    const { containers } = await store.listContainers();
    const { containerTitle } = await import("../../core/cluster/cluster_container.ts");
    const titles = Map.groupBy(containers, containerTitle);
    return [...titles].flatMap(([title, several]) =>
      several.length === 1 ? [title] : several.map(({ nodeName }) => `${nodeName}/${title}`)
    );
  }
  if (kind === "service") return (await store.listServices()).services.map(({ name }) => name);
  const { service } = await store.getService(operands[0]!);
  const { realServerKey } = await import("../../core/services/service.ts");
  return (service?.destinations ?? []).map((one) => realServerKey(one));
}

async function found(typed: readonly string[], commands: readonly CommandEntry[]) {
  const place = await placeOf(typed, commands);
  if (place === undefined) return [];
  const { resolveSettings } = await import("../settings.ts");
  const { chooseStore } = await import("../store.ts");
  const { openStore } = await import("../../core/store/open.ts");
  const { settings } = await resolveSettings(place.given, {}, "knet");
  const { url } = await chooseStore(settings);
  await using store = await openStore(url, {
    existing: true,
    deadlineMs: PATIENCE,
    stateDir: settings.stateDir,
  });
  return await lookUp(store, place);
}

/** The candidates, one a line; nothing where anything stands in the way. */
export async function candidates(
  typed: readonly string[],
  commands: readonly CommandEntry[],
): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => resolve([]), PATIENCE);
  });
  try {
    const all = await Promise.race([found(typed, commands), late]);
    return all.filter((one) => HARMLESS.test(one)).map((one) => `${one}\n`).join("");
  } catch {
    return "";
  } finally {
    clearTimeout(timer);
  }
}
