/**
 * `knet token`: what other hosts join by.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import type { TokenRecord } from "../core/store/authority.ts";
import { defineCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { flag, list as listOf, value } from "./option_table.ts";
import { print, printJson, relative, table, timestamp } from "./output.ts";
import type { Settings } from "./settings.ts";
import { storeUrlOf } from "./store.ts";
import { choice, hostAddress, span } from "./value_checks.ts";

const CONTEXT = "knet token";
const DAY = 86_400_000;
const ROLES = ["node", "admin"] as const;
/** Milliseconds between looks at what a new cluster does not have yet, and how many. */
const [BREATH, TRIES] = [250, 80];

/** The command. */
export const token = defineCommand({
  name: "token",
  summary: "Make, list and revoke tokens by which hosts join",
  about: [
    "A token says where the cluster is and how to know it, and holds a secret that lets a host ask for a certificate. Until its time is " +
    "over any number of hosts may use it, with --once a single one. Give it to hosts by a way that others do not read.",
    "revoke takes a token's id, or a node's id or name: that node's certificates are worth nothing any more, and its connections are cut.",
    "Tokens are of clusters whose agents hold the store themselves. It runs as root on a host that has a copy of it.",
  ],
  words: [
    {
      name: "ACTION",
      help: "ls: list them; revoke: make one worthless",
      optional: true,
      choices: ["ls", "revoke"],
    },
    { name: "ID", help: "With revoke: a token's id, or a node's id or name", optional: true },
  ],
  options: {
    ttl: value("SPAN", "How long it is good for", span(1), { fallback: "24h" }),
    role: value(
      "ROLE",
      "What its hosts may do: their own part, or everything",
      choice("a role", ROLES),
      { fallback: "node", choices: ROLES },
    ),
    once: flag("For one host only"),
    address: listOf("ADDRESS", "Address by which new hosts reach this one", hostAddress),
  },
  examples: [
    { line: "knet token", about: "prints what to type on each further host" },
    { line: "knet token --ttl 1h --once", about: "for one host, within the hour" },
    { line: "knet token revoke 6f1d2c3b4a59", about: "nobody joins by it any more" },
  ],
  run: async ({ options, words: [action, id], settings }) => {
    if ((action === "revoke") !== (id !== undefined)) {
      throw new UsageError(
        action === "revoke"
          ? `Cannot run "${CONTEXT} revoke": the id is missing`
          : `Cannot run "${CONTEXT}": "${id}" is too much`,
        CONTEXT,
      );
    }
    if (action === "ls") return await list(settings);
    if (action === "revoke") return await revoke(settings, id!);
    const made = await makeToken(settings, {
      life: options.ttl === undefined ? DAY : options.ttl * 1000,
      role: options.role ?? "node",
      once: options.once ?? false,
      addresses: options.address ?? [],
    });
    if (settings.json) printJson(made);
    else print(`knet up ${made.token}`);
  },
});

/** What a token is made for. */
export interface TokenWish {
  /** Milliseconds. */
  readonly life: number;
  readonly role: (typeof ROLES)[number];
  readonly once: boolean;
  /** By which new hosts reach this one; none: what it knows. */
  readonly addresses: readonly string[];
}

/** A token as it is shown. */
export interface MadeToken {
  readonly token: string;
  readonly id: string;
  readonly role: string;
  readonly once: boolean;
  readonly expires: string;
}

/**
 * Makes a token on this host. Of an agent that has only just begun the cluster, it waits a while for what a token needs.
 *
 * @throws {KnetError} exit code 4 where the store is a database elsewhere, or the authority is not there yet.
 */
export async function makeToken(settings: Settings, wish: TokenWish): Promise<MadeToken> {
  await using authority = await openAuthority(settings);
  await refuseOther(settings);
  const { fingerprint } = await import("../core/port/certificates.ts");
  const { formatToken, makeSecret } = await import("../core/port/token.ts");
  const { DEFAULT_PORT } = await import("../core/port/port.ts");
  const record = await soon(() => authority.authority());
  if (record === undefined) {
    throw new KnetError("Cannot make a token: the cluster's authority is not in the store yet", {
      exitCode: 4,
      remedy: "Wait until the agent of the first host is ready",
    });
  }
  const addresses = wish.addresses.length > 0 ? wish.addresses : await soon(async () => {
    const known = await knownAddresses(settings);
    return known.length > 0 ? known : undefined;
  }) ?? [];
  if (addresses.length === 0) {
    throw new KnetError("Cannot make a token: it is not known where this host is reached", {
      remedy: "Wait until its agent is ready, or give --address",
    });
  }
  const { id, secret } = makeSecret();
  const { life, role, once } = wish;
  const { expires } = await authority.addToken({ id, secret, role, once, life });
  return {
    token: formatToken({
      ...{ id, secret, addresses },
      authority: fingerprint(record.certificate),
      port: DEFAULT_PORT,
    }),
    ...{ id, role, once },
    expires: new Date(expires).toISOString(),
  };
}

/** What is there within a while. */
async function soon<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  for (let left = TRIES;; left--) {
    const found = await look();
    if (found !== undefined || left === 0) return found;
    await new Promise((resolve) => setTimeout(resolve, BREATH));
  }
}

/** Where this host is, and then others that new ones may ask. */
async function knownAddresses({ dataDir }: Settings): Promise<string[]> {
  const { readSnapshot } = await import("../core/store/snapshot.ts");
  const { storedNodeId } = await import("../core/cluster/node_identity.ts");
  const { Hosts } = await import("../core/port/hosts.ts");
  const nodeId = storedNodeId(dataDir);
  const own = nodeId === undefined ? undefined : readSnapshot(dataDir, nodeId, () => {})?.own;
  const others = new Hosts(dataDir).all.filter((host) => host.nodeId !== nodeId)
    .flatMap(({ addresses }) => addresses.slice(0, 1));
  return [...new Set([...own === undefined ? [] : [own.publicIp], ...others])].slice(0, 4);
}

/**
 * A host that joined by a token would believe the store that the token stands in. To revoke is always well.
 *
 * @throws {KnetError} exit code 4 while this host's agent finds that the store is another one than it was.
 */
async function refuseOther(settings: Settings): Promise<void> {
  const { dqliteDirectory } = await import("../core/store/location.ts");
  const { readVerdict, verdictText } = await import("../core/store/verdict_file.ts");
  const { DIFFERENT_REMEDY } = await import("../core/store/identity.ts");
  const verdict = readVerdict(settings.stateDir);
  const here = dqliteDirectory(await storeUrlOf(settings));
  if (verdict === undefined || dqliteDirectory(verdict.location) !== here) return;
  throw new KnetError(`Cannot make a token: ${verdictText(verdict)}`, {
    exitCode: 4,
    remedy: DIFFERENT_REMEDY,
  });
}

async function openAuthority(settings: Settings) {
  const { redactUrl } = await import("../core/base/secrets.ts");
  const { dqliteDirectory } = await import("../core/store/location.ts");
  const { openStoreAuthority } = await import("../core/store/open.ts");
  const url = await storeUrlOf(settings);
  if (dqliteDirectory(url) === undefined) {
    throw new KnetError(
      `Cannot use tokens: the store ${
        redactUrl(url)
      } is a database of its own, with users of its own`,
      { exitCode: 4, remedy: `Let hosts join by it: knet join --store ${redactUrl(url)}` },
    );
  }
  return await openStoreAuthority(url, { existing: true });
}

async function list(settings: Settings): Promise<void> {
  await using authority = await openAuthority(settings);
  const tokens = await authority.tokens();
  const nodes = await authority.certificates();
  if (settings.json) return printJson({ tokens: tokens.map(tokenDocument), nodes });
  const now = Date.now();
  print(
    tokens.length === 0 ? "No tokens" : table(
      ["ID", "ROLE", "FOR", "USED", "STATE", "EXPIRES"],
      tokens.map((token) => [
        ...[token.id, token.role, token.once ? "one host" : "any host", `${token.used}`],
        ...[stateOf(token, now), relative(token.expires, now)],
      ]),
    ),
  );
  if (nodes.length === 0) return;
  print("");
  print(table(
    ["NODE", "ROLE", "STATE", "CERTIFIED", "UNTIL"],
    nodes.map((node) => [
      ...[node.nodeId, node.role, node.revoked > 0 ? "revoked" : "good"],
      ...[timestamp(node.issued), timestamp(node.expires)],
    ]),
  ));
}

/** What a token is good for now. */
export function stateOf({ once, used, expires, revoked }: TokenRecord, now: number): string {
  if (revoked > 0) return "revoked";
  if (expires <= now) return "expired";
  return once && used > 0 ? "used" : "good";
}

function tokenDocument(token: TokenRecord) {
  const { id, role, once, used, expires } = token;
  const state = stateOf(token, Date.now());
  return { id, role, once, used, state, expires: new Date(expires).toISOString() };
}

/**
 * The node id of the host that somebody names: it is what certificates have. A word that is no host's name stays as it is.
 *
 * @throws {KnetError} exit code 4 if several hosts have the name.
 */
export function nodeIdOf(
  word: string,
  hosts: readonly { readonly nodeId: string; readonly nodeName: string }[],
): string {
  if (hosts.some(({ nodeId }) => nodeId === word)) return word;
  const named = hosts.filter(({ nodeName }) => nodeName === word).map(({ nodeId }) => nodeId);
  if (named.length < 2) return named[0] ?? word;
  throw new KnetError(
    `Cannot revoke "${word}": several hosts have this name (${named.join(", ")})`,
    { exitCode: 4, remedy: "Give the node id of the one that is meant" },
  );
}

async function revoke(settings: Settings, word: string): Promise<void> {
  const { readSnapshot } = await import("../core/store/snapshot.ts");
  const { own, peers = [] } = readSnapshot(settings.dataDir, undefined, () => {}) ?? {};
  await using authority = await openAuthority(settings);
  const hosts = own === undefined ? peers : [own, ...peers];
  const isToken = (await authority.tokens()).some(({ id }) => id === word);
  const id = isToken ? word : nodeIdOf(word, hosts);
  const what = await authority.revoke(id);
  if (settings.json) printJson({ revoked: what, id });
  else print(`Revoked the ${what === "node" ? "certificates of the node" : "token"} ${id}`);
}
