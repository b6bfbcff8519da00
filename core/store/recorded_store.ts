/**
 * The store of this host's agent, kept in the data directory: a shell that knows no KNET_STORE finds it by that.
 *
 * The file holds the password, if the URL has one, so only its owner may read it.
 *
 * @module
 */
import { join, resolve } from "node:path";
import * as v from "valibot";
import { KnetError, messageOf } from "../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import { dqliteDirectory, sqlitePath } from "./location.ts";
import { parsePostgresUrl } from "./postgres_url.ts";

/** Variables of libpq that say where a Postgres is, or who asks: a URL means another thing without them. */
const LIBPQ = ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGPASSFILE"];

/** A store as a process reaches it. */
export interface StoreAddress {
  readonly url: string;
  /** The variables of libpq that were set, by their names. */
  readonly environment: Readonly<Record<string, string>>;
}

/** What there is of a record. */
export type RecordedStore =
  | { readonly state: "none" }
  | { readonly state: "recorded"; readonly address: StoreAddress }
  /** There may be one, and this user may not read it. */
  | { readonly state: "hidden"; readonly path: string }
  | { readonly state: "broken"; readonly path: string; readonly reason: string };

const ADDRESS: v.GenericSchema<unknown, StoreAddress> = v.looseObject({
  url: v.string(),
  environment: v.record(v.string(), v.string()),
});

const pathIn = (dataDir: string) => join(dataDir, "store.json");

/**
 * A store as this process reaches it: the path of a SQLite file is made absolute.
 *
 * @param env The environment.
 */
export function storeAddress(
  url: string,
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): StoreAddress {
  const path = sqlitePath(url);
  if (path !== undefined) return { url: `sqlite:${resolve(path)}`, environment: {} };
  const directory = dqliteDirectory(url);
  if (directory !== undefined) return { url: `dqlite:${resolve(directory)}`, environment: {} };
  const set = LIBPQ.map((name) => [name, env(name)] as const)
    .filter((entry): entry is readonly [string, string] => !!entry[1]);
  return { url, environment: Object.fromEntries(set) };
}

/** What the agent recorded in a data directory. */
export function readRecordedStore(dataDir: string): RecordedStore {
  const path = pathIn(dataDir);
  try {
    const text = readTextIfPresent(path);
    return text === undefined
      ? { state: "none" }
      : { state: "recorded", address: parseShape(ADDRESS, text) };
  } catch (error) {
    const cause = error instanceof KnetError ? error.cause : error;
    return cause instanceof Deno.errors.PermissionDenied
      ? { state: "hidden", path }
      : { state: "broken", path, reason: messageOf(error) };
  }
}

/**
 * Records the store, if it is not recorded already.
 *
 * @throws {KnetError} if the file cannot be written.
 */
export function recordStore(dataDir: string, address: StoreAddress): void {
  const text = JSON.stringify(address) + "\n";
  const path = pathIn(dataDir);
  if (readTextIfPresent(path) !== text) writeFileAtomically(path, text, 0o600, 0o700);
}

/** Forgets it: this host has left, or never joined. */
export function forgetStore(dataDir: string): void {
  removeIfPresent(pathIn(dataDir));
}

/** Whether two addresses mean one store. User, password and encryption say who asks, not what. */
export function sameStore(one: StoreAddress, other: StoreAddress): boolean {
  const [a, b] = [placeOf(one), placeOf(other)];
  return a !== undefined && a === b;
}

/** One text for one store; undefined if the URL makes no sense. */
function placeOf({ url, environment }: StoreAddress): string | undefined {
  const path = sqlitePath(url);
  if (path !== undefined) return `sqlite:${realPath(resolve(path))}`;
  const directory = dqliteDirectory(url);
  if (directory !== undefined) return `dqlite:${realPath(resolve(directory))}`;
  try {
    const { hosts, database, schema } = parsePostgresUrl(url, (name) => environment[name]);
    const places = hosts.map(({ host, port }) => `${host.toLowerCase()}:${port}`).sort();
    return JSON.stringify([places, database, schema ?? "public"]);
  } catch {
    return undefined;
  }
}

/** The path behind symbolic links, as far as it is there. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    const directory = resolve(path, "..");
    return directory === path ? path : join(realPath(directory), path.slice(directory.length));
  }
}
