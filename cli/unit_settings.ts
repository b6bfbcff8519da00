/**
 * What the service is set up with, before its agent has run for the first time: whoever runs `knet init` in a new shell means the store
 * that the service will use.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import { type StoreAddress, storeAddress } from "../core/store/recorded_store.ts";

/** EnvironmentFile= of the unit. */
const ENVIRONMENT_FILE = "/etc/default/knet";
/** Where systemd looks for LoadCredential=knet.store. */
const CREDENTIAL_FILE = "/etc/credstore/knet.store";

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
    const [, , quoted] = /^(["'])(.*)\1$/.exec(value) ?? [];
    found.set(name, quoted ?? value);
  }
  return found;
}

/**
 * The store that the service is set up with; undefined if none is.
 *
 * @throws {KnetError} exit code 3 if this user may not read it.
 */
export function unitStore(read: ReadFile = readFile): StoreAddress | undefined {
  const environment = environmentOf(read(ENVIRONMENT_FILE) ?? "");
  const url = environment.get("KNET_STORE") || read(CREDENTIAL_FILE)?.trim();
  return url ? storeAddress(url, (name) => environment.get(name)) : undefined;
}
