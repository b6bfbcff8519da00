/**
 * Keeps on record which store the agent uses, for this host's commands.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { wallClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import {
  forgetStore,
  readRecordedStore,
  recordStore,
  sameStore,
  type StoreAddress,
  storeAddress,
} from "../store/recorded_store.ts";
import type { Store } from "../store/store.ts";
import { writeVerdict } from "../store/verdict_file.ts";
import type { StoreHealth } from "./membership_options.ts";

const log = getLogger(["knet", "agent"]);

/**
 * The record of one agent. While it waits for its first lease, a record of the store that this host joined before stays: its lease is
 * there. One that was made for nothing goes with the agent.
 */
export class AgentStore implements Disposable {
  readonly #dataDir: string;
  readonly #address: StoreAddress;
  /** Whether the store is another one than the one on record. */
  readonly elsewhere: boolean;
  #provisional = false;

  constructor({ dataDir, storeUrl }: { readonly dataDir: string; readonly storeUrl: string }) {
    this.#dataDir = dataDir;
    this.#address = storeAddress(storeUrl);
    const record = readRecordedStore(dataDir);
    const { state } = record;
    this.elsewhere = state === "recorded" && !sameStore(record.address, this.#address);
    if (state !== "none" && state !== "broken") return;
    this.#provisional = true;
    this.#record();
  }

  /** The store with an eye on whether this host has a lease in it. */
  over(store: Store): Store {
    return {
      ...store,
      acquireLease: async (request) => {
        const grant = await store.acquireLease(request);
        this.#joined();
        return grant;
      },
      renewLease: async (holder) => {
        const renewal = await store.renewLease(holder);
        if (renewal.state === "renewed") this.#joined();
        return renewal;
      },
    };
  }

  #joined(): void {
    this.#provisional = false;
    this.#record();
  }

  [Symbol.dispose](): void {
    if (this.#provisional) tellFailure(() => forgetStore(this.#dataDir));
  }

  #record(): void {
    tellFailure(() => recordStore(this.#dataDir, this.#address));
  }
}

/** Tells this host's commands for as long as the store is not the one that the agent knows. */
export function tellVerdict(stateDir: string, location: string, health: StoreHealth): void {
  const { state, detail, since } = health;
  // One that cannot be read is not yet the right one.
  if (state !== "different" && state !== "ok") return;
  const verdict = { location, what: detail, since: since ?? wallClock() };
  tellFailure(() => writeVerdict(stateDir, state === "different" ? verdict : undefined));
}

/** Commands have to be told the store, then; the network is not concerned. */
function tellFailure(work: () => void): void {
  try {
    work();
  } catch (error) {
    log.warn("{message}", { message: messageOf(error) });
  }
}
