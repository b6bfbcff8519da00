/**
 * `knet lease`: looks at and manages the leases in the store. Needs no root.
 *
 * @module
 */
import { loggingBegun } from "../core/base/late_logging.ts";
import { isExpired } from "../core/cluster/allocate.ts";
import type { Lease } from "../core/cluster/lease.ts";
import { doubledLeases } from "../core/cluster/lease_doubles.ts";
import { defineCommand } from "./command.ts";
import type { CommandGroup, WordSpec } from "./command.ts";
import { UsageError } from "./errors.ts";
import { leaseDocument, leasePairs, leaseTable, selectLease } from "./lease_view.ts";
import { hostAddress, prefix } from "./value_checks.ts";
import { print, printJson } from "./output.ts";
import { flag, value } from "./option_table.ts";
import { readWord } from "./option_value.ts";
import { withStore, withView } from "./store.ts";
import type { Store } from "../core/store/store.ts";

const NODE_WORD: WordSpec = {
  name: "NODE",
  help: "Node name, node id or subnet",
  complete: "lease",
};

const list = defineCommand({
  name: "lease ls",
  hardlyLogs: true,
  summary: "List all leases, expired and reserved ones too",
  words: [],
  options: {},
  examples: [
    { line: "knet lease ls", about: "as a table" },
    { line: "knet lease ls --json", about: "for programs" },
  ],
  run: ({ settings }) =>
    withView(settings, async (store) => {
      const { leases, revision, now } = await store.listLeases();
      leases.sort(bySubnet);
      await warnOf(doubledLeases(leases, now));
      if (settings.json) {
        printJson({ revision, leases: leases.map((lease) => leaseDocument(lease, now)) });
      } else print(leases.length === 0 ? "No leases" : leaseTable(leases, now));
    }),
});

const show = defineCommand({
  name: "lease show",
  hardlyLogs: true,
  summary: "Show one lease in full",
  words: [NODE_WORD],
  options: {},
  examples: [{ line: "knet lease show host-3", about: "by name; an id or a subnet serves too" }],
  run: ({ words, settings }) =>
    withView(settings, async (store) => {
      const { leases, now } = await store.listLeases();
      const lease = selectLease(`Cannot show the lease of "${words[0]!}"`, leases, words[0]!);
      if (settings.json) printJson(leaseDocument(lease, now));
      else print(leasePairs(lease, now));
    }),
});

const release = defineCommand({
  name: "lease release",
  hardlyLogs: true,
  summary: "Give a lease back; its subnet is free for others",
  about: [
    "A host that lives keeps its lease unless --force is given. Reservations are removed this way, too.",
  ],
  words: [NODE_WORD],
  options: { force: flag("Also if that host lives") },
  examples: [{ line: "knet lease release host-4", about: "a host that is gone for good" }],
  run: ({ options, words, settings }) =>
    withStore(settings, async (store) => {
      const lease = await store.releaseLease(words[0]!, { force: options.force ?? false });
      const { now } = await store.listLeases();
      if (settings.json) printJson(leaseDocument(lease, now));
      else print(`Released ${lease.subnet} of ${holder(lease)}`);
    }),
});

const reserve = defineCommand({
  name: "lease reserve",
  hardlyLogs: true,
  summary: "Keep a subnet for the host with a certain public address",
  words: [{ name: "SUBNET", help: "The subnet, 10.244.7.0/24" }],
  options: {
    "public-ip": value("ADDRESS", "Public address of the host it is kept for", hostAddress),
    force: flag("Also if it is reserved for another host, which loses it"),
  },
  examples: [{
    line: "knet lease reserve 10.244.7.0/24 --public-ip 192.168.2.107",
    about: "that host gets this subnet when it joins, and nobody else ever does",
  }],
  run: async ({ options, words, settings }) => {
    const context = "knet lease reserve";
    const publicIp = options["public-ip"];
    if (publicIp === undefined) {
      throw new UsageError(`Cannot run "${context}": "--public-ip" is missing`, context);
    }
    const subnet = await readWord("SUBNET", words[0]!, prefix, context);
    await withStore(settings, async (store) => {
      const lease = await store.reserveLease(subnet, publicIp, {
        force: options.force ?? false,
      });
      if (settings.json) printJson(leaseDocument(lease, Date.now()));
      else print(`Reserved ${lease.subnet} for ${lease.publicIp}`);
    });
  },
});

/** Those that pruning removes. */
async function expiredLeases(store: Store): Promise<Lease[]> {
  const { leases, now } = await store.listLeases();
  return leases.filter((lease) => isExpired(lease, now));
}

const prune = defineCommand({
  name: "lease prune",
  hardlyLogs: true,
  summary: "Remove all leases that have expired",
  about: ["Expiry alone removes nothing: the network outlives a store that is away. This does."],
  words: [],
  options: { "dry-run": flag("Print what would be removed, and remove nothing") },
  examples: [
    { line: "knet lease prune --dry-run", about: "what would be removed" },
    { line: "knet lease prune", about: "prints what was removed" },
  ],
  run: ({ options, settings }) =>
    withStore(settings, async (store) => {
      const dry = options["dry-run"] ?? false;
      const leases = dry ? await expiredLeases(store) : await store.pruneLeases();
      leases.sort(bySubnet);
      if (settings.json) {
        printJson({
          ...dry && { dryRun: true },
          pruned: leases.map((lease) => leaseDocument(lease, Date.now())),
        });
      } else if (leases.length === 0) print("No lease has expired");
      else {print(
          leases.map((each) =>
            `${dry ? "Would remove" : "Removed"} ${each.subnet} of ${holder(each)}`
          ).join("\n"),
        );}
    }),
});

/** The command. */
export const lease: CommandGroup = {
  name: "lease",
  summary: "List, show, release, reserve and prune leases",
  commands: [list, show, release, reserve, prune],
};

/** Warns, which short commands hardly ever do. */
async function warnOf(sentences: readonly string[]): Promise<void> {
  if (sentences.length === 0) return;
  await loggingBegun();
  const { logWarnings } = await import("./log.ts");
  logWarnings(sentences);
}

function bySubnet(a: Lease, b: Lease): number {
  return a.subnet.localeCompare(b.subnet, "en", { numeric: true });
}

function holder(lease: Lease): string {
  return lease.nodeName === "" ? lease.publicIp : lease.nodeName;
}
