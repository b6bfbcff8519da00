/**
 * What the service is set up with: a new shell does not have its environment, and means the same host.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import type { StoreAddress } from "../core/store/recorded_store.ts";

/** EnvironmentFile= of the unit. */
export const ENVIRONMENT_FILE = "/etc/default/knet";
/** Where what outlives a boot is, unless said otherwise. */
export const DEFAULT_DATA_DIR = "/var/lib/knet";
/** RuntimeDirectory= of the unit. */
export const DEFAULT_STATE_DIR = "/run/knet";
/** Where systemd looks for LoadCredential=knet.store. */
export const CREDENTIAL_FILE = "/etc/credstore/knet.store";

/** Reads a file; undefined if there is none. */
export type ReadFile = (path: string) => string | undefined;

const readFile: ReadFile = (path) => {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new KnetError(
      `Cannot tell which store this host's agent will use: only root may read "${path}"`,
      { exitCode: 3, remedy: "Run it as root, or name the store with --store or KNET_STORE" },
    );
  }
};

/**
 * The variables of an EnvironmentFile (systemd.exec(5)), the last of a name; a value may stand in quotation marks.
 */
export function environmentOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const [, mark, quoted] = /^(["'])(.*)\1$/.exec(value) ?? [];
    const plain = mark === '"' ? quoted?.replace(/\\(["\\`$])/g, "$1") : quoted;
    found.set(name, plain ?? value);
  }
  return found;
}

/** What the service is set up with: its environment, and the URL of its store if there is one, which a credential may hold. */
export function serviceSettings(
  read: ReadFile = readFile,
): { readonly environment: Map<string, string>; readonly url: string | undefined } {
  const environment = environmentOf(read(ENVIRONMENT_FILE) ?? "");
  return {
    environment,
    url: environment.get("KNET_STORE") || read(CREDENTIAL_FILE)?.trim() || undefined,
  };
}

/**
 * The store that the service is set up with; undefined if none is, or if its data are elsewhere: an agent with directories of its own
 * is another.
 *
 * @throws {KnetError} exit code 3 if this user may not read it.
 */
export async function unitStore(
  dataDir: string,
  read: ReadFile = readFile,
): Promise<StoreAddress | undefined> {
  const { environment, url } = serviceSettings(read);
  if (dataDir !== (environment.get("KNET_DATA_DIR") || DEFAULT_DATA_DIR)) return undefined;
  if (!url) return undefined;
  const { storeAddress } = await import("../core/store/recorded_store.ts");
  return storeAddress(url, (name) => environment.get(name));
}
