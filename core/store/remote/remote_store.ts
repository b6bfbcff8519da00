/**
 * The store as a client of a server that holds it.
 *
 * @module
 */
import { monotonicClock, random, sleep } from "../../base/clock.ts";
import { StoreAwayError } from "../../base/error.ts";
import type { ServiceView } from "../../services/service_store.ts";
import type { StoreAdmin } from "../admin.ts";
import type { StoreMark } from "../identity.ts";
import { logProblem, problemTeller } from "../problem_log.ts";
import type { Store } from "../store.ts";
import type { ArgumentsOf, CallName } from "./calls.ts";
import { Link, type RemoteWay } from "./link.ts";
import { ATTEMPTS, type SentView } from "./values.ts";

export type { RemoteWay } from "./link.ts";

/** Milliseconds for which an edit is tried again because others were faster. */
const PATIENCE = 60_000;

function viewOf({ services, unread, config, ...rest }: SentView): ServiceView {
  return {
    ...rest,
    services: new Map(services.map((one) => [one.name, one])),
    unread: new Map(unread.map((one) => [one.name, one])),
    config,
  };
}

/**
 * The store that servers hold.
 *
 * @param deadline Milliseconds that a server may be silent.
 * @param warn Told once of each row that makes no sense; the default is the log.
 */
export function remoteStore(
  way: RemoteWay,
  deadline = 5000,
  warn: (sentence: string) => void | Promise<void> = logProblem,
): Store {
  const link = new Link(way, deadline);
  const told = problemTeller(warn);
  let expected: StoreMark | undefined;
  const write = <Name extends CallName>(call: Name, given: ArgumentsOf<Name>) =>
    link.ask(call, given, expected);

  return {
    engine: "dqlite",
    location: way.location,

    getConfig: async () => (await link.ask("getConfig", {})).config,
    initConfig: (config, { replace } = {}) =>
      write("initConfig", { config, ...(replace !== undefined && { replace }) }),
    listLeases: () => told(link.ask("listLeases", {})),
    async acquireLease({ backendData, ...request }) {
      const data = [backendData(0)];
      while (data[0]!.mac !== undefined && data.length < ATTEMPTS) {
        data.push(backendData(data.length));
      }
      return await write("acquireLease", { request: { ...request, backendData: data } });
    },
    renewLease: (holder) =>
      write("renewLease", { holder: holder as ArgumentsOf<"renewLease">["holder"] }),
    releaseLease: (selector, options = {}) => write("releaseLease", { selector, ...options }),
    reserveLease: (subnet, publicIp, options = {}) =>
      write("reserveLease", { subnet, publicIp, ...options }),
    pruneLeases: (nodeIds) =>
      write("pruneLeases", nodeIds === undefined ? {} : { nodeIds: [...nodeIds] }),
    listContainers: (selector = {}) => told(link.ask("listContainers", selector)),
    async putContainers(change) {
      await write("putContainers", { change });
    },
    changesSince: (revision, compare, lastGood) =>
      told(link.ask("changesSince", {
        revision,
        ...(compare !== undefined && { compare }),
        ...(lastGood !== undefined && { lastGood }),
      })),
    announceLease: (own, lastGood) =>
      write("announceLease", { own, ...(lastGood !== undefined && { lastGood }) }),
    expect(mark) {
      expected = mark;
    },
    listServices: () => told(link.ask("listServices", {})),
    async getService(name) {
      const { service, now } = await link.ask("getService", { name });
      return { service, now };
    },
    async editServices(scope, edit) {
      const sent = scope as ArgumentsOf<"viewServices">["scope"];
      let { basis, revision } = await write("viewServices", { scope: sent });
      const until = monotonicClock() + PATIENCE;
      while (monotonicClock() < until) {
        const { put = [], remove = [], timeouts, result } = edit(viewOf(basis.view));
        if (put.length + remove.length === 0 && timeouts === undefined) return { result, revision };
        const answer = await write("editServices", {
          scope: sent,
          digest: basis.digest,
          put: [...put],
          remove: [...remove],
          ...(timeouts !== undefined && { timeouts }),
        });
        if (answer.basis === undefined) return { result, revision: answer.revision };
        // Somebody else was faster.
        ({ basis = basis, revision } = answer);
        await sleep(5 * random());
      }
      throw new StoreAwayError(
        `Cannot change services in the store ${way.location}: others change the same all the time`,
      );
    },
    sweepDrained: () => write("sweepDrained", {}),

    subscribe: (onChange, onState = () => {}) => link.follow(onChange, onState),
    reset: () => link.reset(),
    [Symbol.asyncDispose]() {
      link.close();
      return Promise.resolve();
    },
  };
}

/** The store that servers hold, for the administrator. */
export function remoteAdmin(way: RemoteWay, deadline = 60_000): StoreAdmin {
  const link = new Link(way, deadline);
  return {
    location: way.location,
    info: () => link.ask("info", {}),
    backup: () => link.ask("backup", {}),
    restore: (backup, known, force) =>
      link.ask("restore", { backup, force, ...(known !== undefined && { known }) }),
    adopt: (known) => link.ask("adopt", known === undefined ? {} : { known }),
    [Symbol.asyncDispose]() {
      link.close();
      return Promise.resolve();
    },
  };
}
