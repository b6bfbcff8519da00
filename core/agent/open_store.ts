/**
 * Opens the agent's store: a database elsewhere, or the cluster's own, which this host then takes part in.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { KnetError } from "../base/error.ts";
import { dqliteDirectory } from "../store/location.ts";
import { openStore } from "../store/open.ts";
import { storeAddress } from "../store/recorded_store.ts";
import type { Store } from "../store/store.ts";
import type { HeldStore } from "./held_store.ts";
import type { HostBook } from "./host_book.ts";
import { type CarrierMaker, givenCarrier } from "./store_carrier.ts";

/** What the store is opened for. */
export interface OpenRequest {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly nodeId: string;
  /** Whether this host has joined a store already: then none is made. */
  readonly existing: boolean;
  readonly carrier?: CarrierMaker | undefined;
  readonly hosts: HostBook;
}

/** An agent's store. */
export interface AgentsStore extends AsyncDisposable {
  readonly store: Store;
  /** This host's part in it, if it is the cluster's own. */
  readonly held?: HeldStore;
}

/** Opens it, and returns at once. */
export async function openAgentsStore(request: OpenRequest): Promise<AgentsStore> {
  const { storeUrl, existing, hosts } = request;
  const directory = dqliteDirectory(storeAddress(storeUrl).url);
  if (directory === undefined) {
    const store = await openStore(storeUrl, { background: true, existing });
    return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
  }
  const { HeldStore } = await import("./held_store.ts");
  const { remoteStore } = await import("../store/remote/remote_store.ts");
  const held = await HeldStore.start({
    ...request,
    carrier: request.carrier ?? givenCarrier() ?? await portCarrier(request),
    directory,
    addressesOf: (nodeId) => hosts.addressesOf(nodeId),
    hostName: (nodeId) => hosts.nameOf(nodeId),
  });
  const store = remoteStore(held.way);
  return {
    store,
    held,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await held[Symbol.asyncDispose]();
    },
  };
}

/**
 * Refuses to hold the cluster's own store for a moment.
 *
 * @throws {KnetError} exit code 2.
 */
export function refuseOnce({ once, storeUrl }: { once: boolean; storeUrl: string }): void {
  if (!once || dqliteDirectory(storeUrl) === undefined) return;
  throw new KnetError(
    `Cannot join with --once by the store ${storeUrl}: the agent holds that store, and has to run`,
    { exitCode: 2, remedy: "Leave --once out, or use a store that is elsewhere" },
  );
}

/** The agent's port, as the way to other hosts. */
async function portCarrier({ dataDir, storeUrl }: OpenRequest): Promise<CarrierMaker> {
  const { clusterCarrier } = await import("../port/carrier.ts");
  const log = getLogger(["knet", "port"]);
  return clusterCarrier({
    dataDir,
    storeUrl,
    onProblem: (sentence) => log.warn("{sentence}", { sentence }),
  });
}
