/**
 * Which store a command uses, and the store for as long as a command needs it.
 *
 * @module
 */
import { wallClock } from "../core/base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../core/base/error.ts";
import { redactUrl } from "../core/base/secrets.ts";
import { DEFAULT_STORE, dqliteDirectory } from "../core/store/location.ts";
import type { StoreAddress } from "../core/store/recorded_store.ts";
import type { Store } from "../core/store/store.ts";
import { printError } from "./output.ts";
import type { Settings } from "./settings.ts";
import { unitStore } from "./unit_settings.ts";

/** Milliseconds for a change of thousands of services in one transaction. */
const LARGE_DEADLINE = 60_000;
/** Milliseconds that a command which only looks waits for the hosts that hold the store, before it shows what this one knows. */
const LOOK_DEADLINE = 1000;

/** What of the settings says which store it is. */
export type StoreSettings = Pick<Settings, "store" | "otherStore" | "dataDir" | "stateDir">;

/** Which store a command uses. */
export interface StoreChoice {
  readonly url: string;
  /** The store of this host's agent, where the one that was named is another. */
  readonly agents?: string;
}

/**
 * Chooses the store: the one that was named, else that of this host's agent, or of the service before it ever ran, else the default.
 *
 * @throws {KnetError} exit code 3 if none was named and this user may not read which one the agent uses.
 */
export async function chooseStore({ store, dataDir }: StoreSettings): Promise<StoreChoice> {
  const { readRecordedStore, sameStore, storeAddress } = await import(
    "../core/store/recorded_store.ts"
  );
  const record = readRecordedStore(dataDir);
  if (record.state === "recorded") {
    const { address } = record;
    if (store !== undefined) {
      const { url, environment } = storeAddress(store.url);
      // What the URL leaves to variables that this shell does not have is as the agent has it.
      const given = { url, environment: { ...address.environment, ...environment } };
      if (!sameStore(given, address)) return { url: store.url, agents: address.url };
    }
    takeEnvironment(address);
    return { url: store?.url ?? address.url };
  }
  if (store !== undefined) return { url: store.url };
  if (record.state === "none") {
    const unit = await unitStore(dataDir);
    if (unit === undefined) return { url: DEFAULT_STORE };
    takeEnvironment(unit);
    return { url: unit.url };
  }
  if (record.state === "hidden") {
    throw new KnetError(
      `Cannot tell which store this host's agent uses: only root may read "${record.path}"`,
      { exitCode: 3, remedy: "Run it as root, or name the store with --store or KNET_STORE" },
    );
  }
  throw new KnetError(
    `Cannot tell which store this host's agent uses: "${record.path}" is not what knet wrote: ${record.reason}`,
    { remedy: "Name the store with --store or KNET_STORE; the agent's next start writes it anew" },
  );
}

/** What the URL means with the agent: PGPASSFILE, say. A variable that is set stays. */
function takeEnvironment({ environment }: StoreAddress): void {
  for (const [name, value] of Object.entries(environment)) {
    if (!Deno.env.get(name)) Deno.env.set(name, value);
  }
}

/**
 * The URL of the store that a command uses.
 *
 * @throws {KnetError} as {@linkcode chooseStore}; exit code 4 if this host's agent uses another one and `--other-store` is not given.
 */
export async function storeUrlOf(settings: StoreSettings): Promise<string> {
  const { url, agents } = await chooseStore(settings);
  if (agents === undefined || settings.otherStore) return url;
  throw new KnetError(
    `Cannot use the store ${redactUrl(url)} of ${settings.store!.source}: this host's agent uses ${
      redactUrl(agents)
    }`,
    {
      exitCode: 4,
      remedy:
        "Leave the store out to use the agent's, or add --other-store if the other one is meant",
    },
  );
}

/** Opens the store, which has to be there, for a while; `large` gives it time for thousands of services. */
export async function withStore<T>(
  settings: StoreSettings,
  work: (store: Store) => Promise<T>,
  { large = false } = {},
): Promise<T> {
  const url = await storeUrlOf(settings);
  return await withStoreAt(url, settings, work, large ? LARGE_DEADLINE : undefined);
}

/** @param deadlineMs See `StoreOptions`. */
async function withStoreAt<T>(
  url: string,
  settings: StoreSettings,
  work: (store: Store) => Promise<T>,
  deadlineMs: number | undefined,
): Promise<T> {
  const { openStore } = await import("../core/store/open.ts");
  await using store = await openStore(url, {
    existing: true,
    stateDir: settings.stateDir,
    ...(deadlineMs !== undefined && { deadlineMs }),
  });
  return await work(await patiently(await asAgentSees(settings, store)));
}

/** What a command looks at that changes nothing. */
export type StoreView = Pick<Store, "listLeases" | "listServices" | "getService">;
/** The same where containers are to be seen. */
export type ContainerView = StoreView & Pick<Store, "listContainers">;

/**
 * The store for a command that only looks at it. Where the hosts hold it, this one's copy, or what it has followed, is shown while there
 * is no majority, and that is said.
 */
export function withView<T>(
  settings: StoreSettings,
  work: (view: StoreView) => Promise<T>,
): Promise<T> {
  return look(settings, work, () => rememberedView(settings));
}

/** The same for containers, which hosts without a copy do not follow. */
export function withContainerView<T>(
  settings: StoreSettings,
  work: (view: ContainerView) => Promise<T>,
): Promise<T> {
  return look(settings, work, () => Promise.resolve(undefined));
}

/** @param remembered What there is to see on a host that has no copy. */
async function look<T, View>(
  settings: StoreSettings,
  work: (view: Store | View) => Promise<T>,
  remembered: () => Promise<View | undefined>,
): Promise<T> {
  const url = await storeUrlOf(settings);
  const directory = dqliteDirectory(url);
  try {
    return await withStoreAt(
      ...[url, settings, work, directory === undefined ? undefined : LOOK_DEADLINE] as const,
    );
  } catch (error) {
    if (directory === undefined || !(error instanceof StoreAwayError)) throw error;
    const { openOwnCopy } = await import("../core/store/own_copy.ts");
    await using copy = await openOwnCopy(directory, settings.stateDir).catch(() => undefined);
    const view = copy ?? await remembered();
    if (view === undefined) throw error;
    const why = await troubleByAgent(settings) ?? messageOf(error);
    printError(
      `knet: warning: ${why}\n  This is what this host knew of it last; knet store info tells who holds it`,
    );
    return await work(view);
  }
}

/** What this host's agent says of a store that is away: it has asked for longer than a command does. Undefined if it is not away by it. */
async function troubleByAgent({ stateDir }: StoreSettings): Promise<string | undefined> {
  const { askAgent } = await import("../core/inspect/ask_agent.ts");
  const body = await askAgent(stateDir, "/status", "GET", LOOK_DEADLINE).catch(() => undefined);
  if (body === undefined) return undefined;
  const { readStatusReport } = await import("../core/inspect/report_shape.ts");
  const { store } = readStatusReport(body);
  return store.state === "ok" ? undefined : store.detail;
}

/** What this host's agent has written down of the store that the hosts hold; undefined if this user may not read it. */
async function rememberedView(settings: StoreSettings): Promise<StoreView | undefined> {
  const { readSnapshot } = await import("../core/store/snapshot.ts");
  const known = readSnapshot(settings.dataDir, undefined, () => {});
  if (known === undefined) return undefined;
  const { own, peers, services = [], timeouts = { tcp: 0, tcpfin: 0, udp: 0 }, store } = known;
  const told = { revision: store?.revision ?? 0, now: wallClock(), problems: [] };
  return {
    listLeases: () => Promise.resolve({ ...told, leases: [own, ...peers] }),
    listServices: () => Promise.resolve({ ...told, services: [...services], timeouts }),
    getService(name) {
      const service = services.find((one) => one.name === name);
      return Promise.resolve({ service, now: told.now });
    },
  };
}

/** The store, whose writes wait while hosts announce what they hold; that is said. */
export async function patiently(store: Store): Promise<Store> {
  const { patientStore } = await import("../core/store/patient_store.ts");
  return patientStore(store, (sentence) => printError(`knet: ${sentence}`));
}

/** The store, without writes while this host's agent finds that it is another one than it was; that is said. */
export async function asAgentSees(
  { stateDir }: Pick<Settings, "stateDir">,
  store: Store,
): Promise<Store> {
  const { readVerdict, verdictText, withoutWrites } = await import(
    "../core/store/verdict_file.ts"
  );
  const verdict = readVerdict(stateDir);
  if (verdict === undefined || verdict.location !== store.location) return store;
  printError(`knet: warning: ${verdictText(verdict)}`);
  return withoutWrites(store, verdict);
}
