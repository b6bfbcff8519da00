/**
 * Where the store is, and that there is none.
 *
 * @module
 */
import { addressToNumber } from "../base/address.ts";
import { KnetError } from "../base/error.ts";

/** Where the store is unless said otherwise. */
export const DEFAULT_STORE = "sqlite:/var/lib/knet/knet.db";

/** The file that a `sqlite:` URL names; undefined for another store. */
export function sqlitePath(url: string): string | undefined {
  if (!url.startsWith("sqlite:")) return undefined;
  return url.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "");
}

/** Where this host's replica is unless said otherwise. */
export const DEFAULT_REPLICA = "/var/lib/knet/dqlite";

/** The directory of this host's replica that a `dqlite:` URL names, the usual one if it names none; undefined for another store. */
export function dqliteDirectory(url: string): string | undefined {
  if (!url.startsWith("dqlite:")) return undefined;
  return url.slice("dqlite:".length).replace(/^\/\/(?=\/)/, "") || DEFAULT_REPLICA;
}

/** There is no store where one was looked for. Exit code 4, as where there is one without a cluster. */
export class NoStoreError extends KnetError {
  override readonly name = "NoStoreError";

  /** @param place The file's path, or the URL without its password. */
  constructor(place: string) {
    super(
      `Cannot open the store: there is no knet store at ${place}, so no cluster configuration`,
      {
        exitCode: 4,
        remedy:
          "Name the cluster's store with --store or KNET_STORE, and see that its directory is mounted; knet init makes one",
      },
    );
  }
}

/** Hosts of a store's URL that are addresses; names are not looked up. */
export function storeHosts(url: string): string[] {
  const authority = /^postgres(?:ql)?:\/\/([^/?]*)/.exec(url)?.[1] ?? "";
  const places = authority.slice(authority.lastIndexOf("@") + 1).split(",");
  return places.map((place) => /^\[([^\]]*)\]/.exec(place)?.[1] ?? place.replace(/:\d*$/, ""))
    .filter((host) => {
      try {
        return addressToNumber(host) >= 0n;
      } catch {
        return false;
      }
    });
}
