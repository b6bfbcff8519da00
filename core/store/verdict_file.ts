/**
 * What a running agent thinks of its store, for this host's commands: a file in the state directory for as long as the store is not the
 * one that the agent knows. Everybody may read it; there is no secret in it.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import { KnetError } from "../base/error.ts";
import { parseShape } from "../base/shape.ts";
import { DIFFERENT_REMEDY } from "./identity.ts";
import type { Store } from "./store.ts";

/** Why a store is not what it was. */
export interface StoreVerdict {
  /** URL without its password. */
  readonly location: string;
  /** In what it differs. */
  readonly what: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

const VERDICT: v.GenericSchema<unknown, StoreVerdict> = v.looseObject({
  location: v.string(),
  what: v.string(),
  since: v.number(),
});

const pathIn = (stateDir: string) => join(stateDir, "store-differs.json");

/** The agent's verdict; undefined if it has nothing against the store, or nothing that makes sense. */
export function readVerdict(stateDir: string): StoreVerdict | undefined {
  try {
    const text = readTextIfPresent(pathIn(stateDir));
    return text === undefined ? undefined : parseShape(VERDICT, text);
  } catch {
    return undefined;
  }
}

/** Keeps a verdict, or takes the last one back. */
export function writeVerdict(stateDir: string, verdict: StoreVerdict | undefined): void {
  if (verdict === undefined) removeIfPresent(pathIn(stateDir));
  else writeFileAtomically(pathIn(stateDir), JSON.stringify(verdict), 0o644, 0o755);
}

/** The sentence for the administrator, without its end. */
export function verdictText({ location, what, since }: StoreVerdict): string {
  return `the store ${location} is not the one that this host's agent has known, since ${
    new Date(since).toISOString()
  }: ${what}`;
}

/** A store that is read only, for as long as the agent has something against it. */
export function withoutWrites(store: Store, verdict: StoreVerdict): Store {
  const refuse = (what: string) => () =>
    Promise.reject(
      new KnetError(`Cannot ${what}: ${verdictText(verdict)}`, {
        exitCode: 4,
        remedy: DIFFERENT_REMEDY,
      }),
    );
  return {
    ...store,
    initConfig: refuse("set up the cluster"),
    acquireLease: refuse("lease a subnet"),
    renewLease: refuse("renew the lease"),
    releaseLease: refuse("release the lease"),
    reserveLease: refuse("reserve the subnet"),
    pruneLeases: refuse("prune leases"),
    editServices: refuse("change services"),
    sweepDrained: refuse("change services"),
    announceLease: refuse("announce the lease"),
    putContainers: refuse("tell the store of containers"),
  };
}
