/**
 * `knet store`: the store as a whole. Needs no root but where this host's memory of it is asked for.
 *
 * @module
 */
import { KnetError, messageOf } from "../core/base/error.ts";
import type { KnownStore } from "../core/store/adoption.ts";
import type { StoreAdmin, StoreInfo } from "../core/store/admin.ts";
import type { StoreVerdict } from "../core/store/verdict_file.ts";
import { copyLines } from "./copies.ts";
import { defineCommand } from "./command.ts";
import type { CommandGroup } from "./command.ts";
import { flag } from "./option_table.ts";
import { paint, pairs, print, printError, printJson, timestamp } from "./output.ts";
import type { Settings } from "./settings.ts";
import { storeUrlOf } from "./store.ts";
import { reach } from "./store_reach.ts";
import { recover } from "./store_recover.ts";

/** Milliseconds: a whole store is read or written. */
const DEADLINE = 60_000;

async function withAdmin<T>(
  settings: Settings,
  work: (store: StoreAdmin) => Promise<T>,
  { existing }: { readonly existing: boolean },
): Promise<T> {
  const { openStoreAdmin } = await import("../core/store/open.ts");
  const url = await storeUrlOf(settings);
  await using store = await openStoreAdmin(url, {
    ...{ existing, deadlineMs: DEADLINE, stateDir: settings.stateDir },
    repair: !existing,
  });
  return await work(store);
}

/** What this host knows of its store, if it has joined one and this user may read it. */
async function knownHere({ dataDir }: Settings): Promise<KnownStore | undefined> {
  const { readSnapshot } = await import("../core/store/snapshot.ts");
  const { knownBy } = await import("../core/store/adoption.ts");
  try {
    return knownBy(
      readSnapshot(dataDir, undefined, (sentence) => printError(`knet: warning: ${sentence}`)),
    );
  } catch (error) {
    throw new KnetError(
      `Cannot read what this host knows of its store in "${dataDir}": ${messageOf(error)}`,
      { exitCode: 3, remedy: "Run it as root", cause: error },
    );
  }
}

/** What this host's agent has against the store, if it is this one. */
async function verdictOn(
  { stateDir }: Settings,
  location: string,
): Promise<StoreVerdict | undefined> {
  const { readVerdict } = await import("../core/store/verdict_file.ts");
  const verdict = readVerdict(stateDir);
  return verdict?.location === location ? verdict : undefined;
}

async function infoOf(settings: Settings) {
  return await withAdmin(settings, async (store) => {
    const found = await store.info();
    return { found, verdict: await verdictOn(settings, found.location) };
  }, { existing: true });
}

async function document(found: StoreInfo, verdict: StoreVerdict | undefined) {
  const { identityText } = await import("../core/store/identity.ts");
  const { mark, now: _now, ...rest } = found;
  return {
    ...rest,
    ...mark,
    identity: identityText(mark.identity),
    differs: verdict === undefined ? null : { what: verdict.what, since: verdict.since },
  };
}

const info = defineCommand({
  name: "store info",
  hardlyLogs: true,
  summary: "Show which store this is, and how much it holds",
  words: [],
  options: {},
  examples: [{ line: "knet store info", about: "identity, epoch, revision, leases, services" }],
  run: async ({ settings }) => {
    const { found, verdict } = await infoOf(settings);
    if (settings.json) return printJson(await document(found, verdict));
    const { identityText } = await import("../core/store/identity.ts");
    const { mark, config, leases } = found;
    print(pairs([
      ["store", found.location],
      ["identity", identityText(mark.identity)],
      ["epoch", `${mark.epoch}`],
      ["revision", `${mark.revision}`],
      ["schema", `${found.schema}`],
      ...copyLines(found.copies),
      ["network", config?.network ?? "none"],
      [
        "leases",
        `${leases.held} held, ${leases.expired} expired, ${leases.reserved} reserved`,
      ],
      ["services", `${found.services}, ${found.realServers} real servers`],
      ["tombstones", `${found.tombstones}`],
      [
        "problems",
        found.problems.length === 0 ? undefined : `${found.problems.length}: run knet store check`,
      ],
      [
        "differs",
        verdict &&
        paint("bad", `${verdict.what}, since ${timestamp(verdict.since)}: see knet store adopt`),
      ],
    ]));
  },
});

const check = defineCommand({
  name: "store check",
  hardlyLogs: true,
  summary: "Check every row of the store",
  about: [
    "By the rules that agents read by: what is found is what they leave out. The exit status is 1 if anything is.",
  ],
  words: [],
  options: {},
  examples: [{ line: "knet store check", about: "names each row that cannot be used, and why" }],
  run: async ({ settings }) => {
    const { found, verdict } = await infoOf(settings);
    const problems = [
      ...found.problems,
      ...(verdict === undefined
        ? []
        : [`It is not the store that this host's agent knows: ${verdict.what}`]),
    ];
    if (settings.json) printJson({ problems });
    else print(problems.length === 0 ? "Nothing is wrong with it" : problems.join("\n"));
    return problems.length === 0 ? 0 : 1;
  },
});

const backup = defineCommand({
  name: "store backup",
  hardlyLogs: true,
  summary: "Write all that the store holds to a file",
  about: [
    "In one state of the store, while agents run. The same file serves SQLite and Postgres: restored to another store, it moves a cluster.",
  ],
  words: [{ name: "FILE", help: "File to write; - for standard output" }],
  options: { force: flag("Also over a file that is there") },
  examples: [{ line: "knet store backup /root/knet.backup", about: "readable by its owner only" }],
  run: ({ words, options, settings }) =>
    withAdmin(settings, async (store) => {
      const path = words[0]!;
      const made = await store.backup();
      const text = `${JSON.stringify(made, undefined, 1)}\n`;
      if (path === "-") return print(text);
      if (!options.force && await isThere(path)) {
        throw new KnetError(`Cannot write the backup to "${path}": there is something already`, {
          remedy: "Choose another name, or add --force",
        });
      }
      const { writeFileAtomically } = await import("../core/base/files.ts");
      writeFileAtomically(path, text, 0o600);
      const { leases, services } = made.tables;
      const facts = { file: path, ...made.mark, leases: leases.length, services: services.length };
      if (settings.json) printJson(facts);
      else {
        print(
          `Wrote ${leases.length} leases and ${services.length} services at revision ${made.mark.revision} to ${path}`,
        );
      }
    }, { existing: true }),
});

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new KnetError(`Cannot write the backup to "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const restore = defineCommand({
  name: "store restore",
  summary: "Replace all that the store holds by a backup",
  about: [
    "Agents go on with it as after knet store adopt: each announces the subnet that it holds, which it keeps; what came into the store after the backup and is announced by nobody is gone.",
    "To move a cluster: knet store backup, knet store restore --store NEW, then every host's KNET_STORE.",
  ],
  words: [{ name: "FILE", help: "What knet store backup wrote; - for standard input" }],
  options: { force: flag("Also if the store holds leases or services") },
  examples: [
    { line: "knet store restore /root/knet.backup --force", about: "into the store in use" },
    {
      line: "knet store restore knet.backup --store postgres://knet@db.internal/knet",
      about: "into another one",
    },
  ],
  run: async ({ words, options, settings }) => {
    const name = words[0] === "-" ? "standard input" : `"${words[0]}"`;
    const { describeBackup, readBackup } = await import("../core/store/backup.ts");
    const taken = readBackup(await textOf(words[0]!, name), name);
    const known = await knownHere(settings);
    const { openStoreAdmin } = await import("../core/store/open.ts");
    // To move a cluster is to name a store that is not the agent's.
    const url = await storeUrlOf({ ...settings, otherStore: true });
    await using store = await openStoreAdmin(url, {
      deadlineMs: DEADLINE,
      repair: true,
      stateDir: settings.stateDir,
    });
    const done = await store.restore(taken, known, options.force ?? false);
    await forgetVerdict(settings);
    if (settings.json) {
      return printJson({
        store: store.location,
        ...{ leases: done.leases, services: done.services, epoch: done.mark.epoch },
      });
    }
    print(
      `Restored ${done.leases} leases and ${done.services} services (${
        describeBackup(taken)
      }) to ${store.location}: epoch ${done.mark.epoch}. Agents announce what they hold within seconds`,
    );
  },
});

async function textOf(path: string, name: string): Promise<string> {
  try {
    if (path !== "-") return await Deno.readTextFile(path);
    return await new Response(Deno.stdin.readable).text();
  } catch (error) {
    throw new KnetError(`Cannot read the backup ${name}: ${messageOf(error)}`, { cause: error });
  }
}

/** The agent finds out by itself; without one, nobody would take it back. */
async function forgetVerdict({ stateDir }: Settings): Promise<void> {
  const { writeVerdict } = await import("../core/store/verdict_file.ts");
  try {
    writeVerdict(stateDir, undefined);
  } catch {
    // Another user's; the agent takes it back.
  }
}

const adopt = defineCommand({
  name: "store adopt",
  summary: "Accept the store as it is, though agents know another one",
  about: [
    "After a restore by other means, a fail-over that lost the last writes, or with a store that was emptied. On one host that has joined; agents then announce the subnets that they hold, before anybody gets a new one, and of two with one subnet the older lease stays.",
    "A store without a cluster configuration is given what this host remembers: configuration, leases, services.",
  ],
  words: [],
  options: {},
  examples: [{ line: "knet store adopt", about: "on one host, once" }],
  run: async ({ settings }) => {
    const known = await knownHere(settings);
    await withAdmin(settings, async (store) => {
      const { mark, remembered } = await store.adopt(known);
      await forgetVerdict(settings);
      const { identityText } = await import("../core/store/identity.ts");
      if (settings.json) {
        return printJson({
          store: store.location,
          identity: identityText(mark.identity),
          ...{ epoch: mark.epoch, revision: mark.revision, remembered },
        });
      }
      print(
        `Adopted ${store.location}: epoch ${mark.epoch}${
          remembered ? ", filled with what this host remembers" : ""
        }. Agents announce what they hold within seconds`,
      );
    }, { existing: false });
  },
});

/** The command. */
export const store: CommandGroup = {
  name: "store",
  summary: "Look at, check, back up, restore, adopt and recover the store",
  commands: [info, check, backup, restore, adopt, recover, reach],
};
