/**
 * The commands that show services.
 *
 * @module
 */
import { KnetError } from "../../core/base/error.ts";
import { defineCommand } from "../command.ts";
import { print, printJson } from "../output.ts";
import { flag } from "../option_table.ts";
import type { Settings } from "../settings.ts";
import { tryServices } from "./agent_services.ts";
import { EXISTING_WORD } from "./service_options.ts";
import { type StoreView, withStore, withView } from "../store.ts";
import { serviceDocument, serviceTable, serviceText, sorted } from "./service_view.ts";

/** Milliseconds from one look to the next. */
const WATCH = 1000;
/** Cursor to the top left, and erase the screen: ECMA-48. */
const CLEAR = "\x1b[H\x1b[2J";

async function look(store: StoreView, settings: Settings) {
  const [{ services, timeouts, revision }, report] = await Promise.all([
    store.listServices(),
    tryServices(settings),
  ]);
  const local = report && new Map(report.services.map((one) => [one.name, one]));
  const all = sorted(services);
  return {
    document: () => ({
      revision,
      timeouts,
      services: all.map((one) => serviceDocument(one, local?.get(one.name))),
    }),
    text: () => all.length === 0 ? "No services" : serviceTable(all, local),
  };
}

/** `knet svc ls`. */
export const list = defineCommand({
  name: "svc ls",
  summary: "List all services; where an agent runs, with their connections and rates",
  words: [],
  options: { watch: flag("Look again every second, until interrupted; with --json, a line each") },
  examples: [
    { line: "knet svc ls", about: "as a table" },
    { line: "knet svc ls --watch", about: "see the connections move" },
  ],
  run: ({ options, settings }) =>
    (options.watch ? withStore : withView)(settings, async (store) => {
      for (;;) {
        const { document, text } = await look(store, settings);
        if (!options.watch) {
          if (settings.json) printJson(document());
          else print(text());
          return;
        }
        if (settings.json) print(JSON.stringify(document()));
        else if (Deno.stdout.isTerminal()) print(CLEAR + text());
        else print(`${text()}\n`);
        await new Promise((resolve) => setTimeout(resolve, WATCH));
      }
    }),
});

/** `knet svc show`. */
export const show = defineCommand({
  name: "svc show",
  summary: "Show a service in full, with its real servers",
  words: [EXISTING_WORD],
  options: {},
  examples: [{
    line: "knet svc show web",
    about: "where an agent runs, health and connections too",
  }],
  run: ({ words, settings }) =>
    withView(settings, async (store) => {
      const { service, now } = await store.getService(words[0]!);
      if (service === undefined) {
        throw new KnetError(`Cannot show service "${words[0]}": there is no such service`, {
          exitCode: 4,
          remedy: "Run knet svc ls to see all",
        });
      }
      const report = await tryServices(settings);
      const local = report?.services.find(({ name }) => name === service.name);
      if (settings.json) printJson(serviceDocument(service, local));
      else print(serviceText(service, local, now));
    }),
});
