/**
 * Keeps on record which store the agent uses, for this host's commands.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { messageOf } from "../base/error.ts";
import {
  forgetStore,
  readRecordedStore,
  recordStore,
  type StoreAddress,
  storeAddress,
} from "../store/recorded_store.ts";
import type { Store } from "../store/store.ts";

const log = getLogger(["knet", "agent"]);

/**
 * The record of one agent. While it waits for its first lease, a record of the store that this host joined before stays: its lease is
 * there. One that was made for nothing goes with the agent.
 */
export class AgentStore implements Disposable {
  readonly #dataDir: string;
  readonly #address: StoreAddress;
  #provisional = false;

  constructor({ dataDir, storeUrl }: { readonly dataDir: string; readonly storeUrl: string }) {
    this.#dataDir = dataDir;
    this.#address = storeAddress(storeUrl);
    const { state } = readRecordedStore(dataDir);
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

/** Commands have to be told the store, then; the network is not concerned. */
function tellFailure(work: () => void): void {
  try {
    work();
  } catch (error) {
    log.warn("{message}", { message: messageOf(error) });
  }
}
