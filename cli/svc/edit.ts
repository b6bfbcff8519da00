/**
 * The commands that change one service.
 *
 * @module
 */
import { realServerKey } from "../../core/services/service.ts";
import type { Edited } from "../../core/services/edit.ts";
import { endpointOf } from "../../core/services/conflicts.ts";
import { defineCommand, type WordSpec } from "../command.ts";
import { UsageError } from "../errors.ts";
import { span } from "../value_checks.ts";
import { duration, pairs, print, printJson } from "../output.ts";
import { flag, value } from "../option_table.ts";
import type { Settings } from "../settings.ts";
import {
  destination,
  EXISTING_WORD,
  NAME_WORD,
  newServiceOptions,
  requestOf,
  serviceOptions,
} from "./service_options.ts";
import { readWord } from "../option_value.ts";
import { logWarnings } from "../log.ts";
import { withStore } from "../store.ts";
import { serviceDocument } from "./service_view.ts";

const SERVER_WORD: WordSpec = {
  name: "ADDRESS:PORT",
  help: "A real server of the service",
  complete: "server",
};

function tell({ service, changed, warnings }: Edited, settings: Settings, done: string): void {
  logWarnings(warnings);
  if (settings.json) printJson({ changed, ...serviceDocument(service) });
  else print(changed ? done : `Nothing to change: "${service.name}" is so already`);
}

/** `knet svc add`. */
export const add = defineCommand({
  name: "svc add",
  summary: "Add a service",
  about: [
    "A service is a virtual IP and port in front of real servers. Every host of the cluster balances what its own containers send, by " +
    "the kernel's IPVS.",
  ],
  words: [NAME_WORD],
  options: newServiceOptions,
  examples: [
    {
      line: "knet svc add web --vip 10.96.0.10 --port 80 --to 10.244.0.5:8080",
      about: "a real server on port 8080; --to may be repeated",
    },
    {
      line: "knet svc add api --vip 10.96.0.11 --port 443 --scheduler wlc --check tcp",
      about: 'least connections, checked; real servers follow by "knet svc to"',
    },
  ],
  run: async ({ options, words, settings }) => {
    const context = "knet svc add";
    for (const name of ["vip", "port"] as const) {
      if (options[name] === undefined) {
        throw new UsageError(`Cannot run "${context}": "--${name}" is missing`, context);
      }
    }
    const { addService } = await import("../../core/services/edit.ts");
    await withStore(settings, async (store) => {
      const edited = await addService(store, words[0]!, requestOf(options));
      tell(edited, settings, `Added "${edited.service.name}" at ${endpointOf(edited.service)}`);
    });
  },
});

/** `knet svc rm`. */
export const rm = defineCommand({
  name: "svc rm",
  summary: "Remove a service from every host, at once",
  words: [EXISTING_WORD],
  options: {},
  examples: [{ line: "knet svc rm web", about: "connections through it end" }],
  run: async ({ words, settings }) => {
    const { removeServices } = await import("../../core/services/edit.ts");
    await withStore(settings, async (store) => {
      const [removed] = await removeServices(store, [words[0]!]);
      const { name, service } = removed!;
      if (service === undefined) {
        if (settings.json) printJson({ name });
        else print(`Removed "${name}", which could not be read`);
      } else if (settings.json) printJson(serviceDocument(service));
      else print(`Removed "${name}" at ${endpointOf(service)}`);
    });
  },
});

/** `knet svc set`. */
export const set = defineCommand({
  name: "svc set",
  summary: "Change a service; what is not said stays as it is",
  words: [EXISTING_WORD],
  options: serviceOptions,
  examples: [
    {
      line: "knet svc set web --scheduler sh --scheduler-flags sh-port",
      about: "another scheduler",
    },
    { line: "knet svc set web --check http:/healthz", about: "begin to check the real servers" },
  ],
  run: async ({ options, words, settings }) => {
    const context = "knet svc set";
    const request = requestOf(options);
    if (Object.keys(request).length === 0) {
      throw new UsageError(`Cannot run "${context}": there is nothing to change`, context);
    }
    const { setService } = await import("../../core/services/edit.ts");
    await withStore(settings, async (store) => {
      const edited = await setService(store, words[0]!, request);
      tell(edited, settings, `Changed "${edited.service.name}"`);
    });
  },
});

/** `knet svc to`. */
export const to = defineCommand({
  name: "svc to",
  summary: "Add a real server to a service, or change its weight",
  about: [
    "A real server that drains takes new connections again.",
  ],
  words: [EXISTING_WORD, {
    name: "ADDRESS:PORT[,weight=N]",
    help: "The real server; upper=N and lower=N limit its connections",
    complete: "server",
  }],
  options: {},
  examples: [{ line: "knet svc to web 10.244.2.9:8080,weight=2", about: "one more" }],
  run: async ({ words, settings }) => {
    const request = await readWord("ADDRESS:PORT", words[1]!, destination, "knet svc to");
    const { putDestination } = await import("../../core/services/edit.ts");
    await withStore(settings, async (store) => {
      const edited = await putDestination(store, words[0]!, request);
      const key = realServerKey({ ...request, port: request.port ?? edited.service.port });
      tell(edited, settings, `"${edited.service.name}" balances to ${key}`);
    });
  },
});

/** Takes a real server out of a service and says how. */
async function takeOut(
  context: string,
  [name, text]: readonly string[],
  settings: Settings,
  options: { timeout?: number },
): Promise<void> {
  const endpoint = await readWord("ADDRESS:PORT", text!, async (input) => {
    const { parseEndpoint } = await import("../../core/services/destination.ts");
    return parseEndpoint(input);
  }, context);
  const { takeOutDestination } = await import("../../core/services/edit.ts");
  await withStore(settings, async (store) => {
    const edited = await takeOutDestination(store, name!, endpoint, options);
    const { service } = edited;
    const key = realServerKey({ ...endpoint, port: endpoint.port ?? service.port });
    const left = service.destinations.find((one) => realServerKey(one) === key)?.draining;
    const timeout = options.timeout ?? service.drainTimeout;
    tell(
      edited,
      settings,
      left === undefined
        ? `Took ${key} out of "${service.name}"`
        : `${key} of "${service.name}" drains: no new connections, and it goes when the last one has ended, or after ${
          duration(timeout * 1000)
        }`,
    );
  });
}

/** `knet svc drain`. */
export const drain = defineCommand({
  name: "svc drain",
  summary: "Take a real server out, letting its connections end",
  about: [
    "Its weight becomes 0 on every host: connections that there are go on, new ones go elsewhere. Each host lets go of it when the last " +
    'connection has ended, at the latest after the time-out. "knet svc to" takes it in again. Datagrams (udp) have no connections to wait for.',
  ],
  words: [EXISTING_WORD, SERVER_WORD],
  options: {
    timeout: value("SPAN", "How long it may keep its connections", span(1), {
      fallback: "the service's --drain-timeout",
    }),
  },
  examples: [{ line: "knet svc drain web 10.244.0.5:8080", about: "before an upgrade" }],
  run: ({ options, words, settings }) =>
    takeOut("knet svc drain", words, settings, {
      ...(options.timeout !== undefined && { timeout: options.timeout }),
    }),
});

/** `knet svc drop`. */
export const drop = defineCommand({
  name: "svc drop",
  summary: "Take a real server out; with --now its connections end",
  words: [EXISTING_WORD, SERVER_WORD],
  options: { now: flag("At once, with its connections; else it drains") },
  examples: [
    { line: "knet svc drop web 10.244.0.5:8080", about: "drains as the service says" },
    { line: "knet svc drop web 10.244.0.5:8080 --now", about: "it is dead anyway" },
  ],
  run: ({ options, words, settings }) =>
    takeOut("knet svc drop", words, settings, options.now ? { timeout: 0 } : {}),
});

/** `knet svc timeouts`. */
export const timeouts = defineCommand({
  name: "svc timeouts",
  summary: "Show or set how long idle connections are kept, on all hosts",
  about: [
    "What ipvsadm --set does, for the cluster. 0 leaves what the kernel has: 15 min for tcp, 2 min after a FIN, 5 min for udp. " +
    "24 days are the most that the kernel takes.",
  ],
  words: [],
  options: {
    tcp: value("SPAN", "Established TCP connections", span(0)),
    tcpfin: value("SPAN", "TCP connections after a FIN", span(0)),
    udp: value("SPAN", "UDP", span(0)),
  },
  examples: [
    { line: "knet svc timeouts", about: "show them" },
    { line: "knet svc timeouts --tcp 2h", about: "for long, quiet connections" },
  ],
  run: async ({ options, settings }) => {
    const { setTimeouts } = await import("../../core/services/edit.ts");
    const said = Object.fromEntries(
      (["tcp", "tcpfin", "udp"] as const).filter((name) => options[name] !== undefined)
        .map((name) => [name, options[name]!]),
    );
    const result = await withStore(
      settings,
      async (store) =>
        Object.keys(said).length === 0
          ? (await store.listServices()).timeouts
          : await setTimeouts(store, said),
    );
    if (settings.json) printJson(result);
    else {
      const show = (seconds: number) =>
        seconds === 0 ? "the kernel's own" : duration(seconds * 1000);
      print(pairs(Object.entries(result).map(([name, seconds]) => [name, show(seconds)] as const)));
    }
  },
});
