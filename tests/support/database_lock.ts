/**
 * A store that is there and answers nobody: somebody else holds the SQLite file, or the hosts that hold it do not reach each other.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import type { Lab } from "./lab.ts";

/** Keeps everybody from the store until it is disposed of: its SQLite file is locked, or its hosts are kept from each other. */
export async function blockStore(lab: Lab): Promise<AsyncDisposable> {
  if (lab.store === "dqlite") return await partHosts(lab);
  const lock = lockDatabase(lab.databaseFile);
  return {
    [Symbol.asyncDispose]() {
      lock[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

/** Lets nothing pass the underlay to or from the port of the hosts' own store. */
async function partHosts(lab: Lab): Promise<AsyncDisposable> {
  const families = ["bridge", "ip"];
  for (const family of families) {
    const drop = "tcp dport 8473 drop\ntcp sport 8473 drop\n";
    const chain = `chain forward {\ntype filter hook forward priority 0\n${drop}}`;
    await lab.runUnderlay(["nft", `table ${family} parted {\n${chain}\n}`]);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const family of families) await lab.runUnderlay(`nft delete table ${family} parted`);
    },
  };
}

/** Takes the exclusive lock of a database file; nobody reads or writes until it is disposed of. */
export function lockDatabase(file: string): Disposable {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA busy_timeout = 5000");
  database.exec("BEGIN EXCLUSIVE");
  return {
    [Symbol.dispose]() {
      database.exec("ROLLBACK");
      database.close();
    },
  };
}
