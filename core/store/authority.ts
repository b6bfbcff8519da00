/**
 * The cluster's authority, the tokens by which hosts join, and the certificates that were made: tables of the store that is the
 * cluster's own. Only hosts that hold a copy of it can do what is here.
 *
 * How certificates are made is not known here: whoever calls gives the function.
 *
 * Longer than others: each answer to a host that may not join says why.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import { and, asc, eq, gt, lt, or, sql } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import type { Engine } from "./engine.ts";
import { raiseRevision } from "./revision.ts";
import { authorityTable, certificateTable, tokenTable } from "./schema.ts";
import { readFrom, type Transaction, writeTo } from "./transaction.ts";

/** The authority as it is kept: its certificate (DER) and key (PKCS #8). */
export interface AuthorityRecord {
  readonly certificate: Uint8Array<ArrayBuffer>;
  readonly key: Uint8Array<ArrayBuffer>;
}

/** A token, without its secret. */
export interface TokenRecord {
  readonly id: string;
  readonly role: string;
  /** Whether it is for one host only. */
  readonly once: boolean;
  /** Milliseconds since the epoch, as the times below. */
  readonly made: number;
  readonly expires: number;
  /** How many hosts joined by it. */
  readonly used: number;
  /** 0 if it was not. */
  readonly revoked: number;
}

/** A certificate. */
export interface CertificateRecord {
  readonly serial: string;
  readonly nodeId: string;
  readonly role: string;
  /** The token by which it came; empty if none. */
  readonly token: string;
  /** Milliseconds since the epoch, as the times below. */
  readonly issued: number;
  readonly expires: number;
  /** 0 if it was not. */
  readonly revoked: number;
}

/** A certificate that was just made. */
export interface Made {
  /** DER. */
  readonly certificate: Uint8Array<ArrayBuffer>;
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** Makes a certificate, at once: it is called inside a transaction. */
export type Certifier = (
  authority: AuthorityRecord,
  node: {
    readonly nodeId: string;
    readonly role: string;
    readonly publicKey: Uint8Array<ArrayBuffer>;
  },
) => Made;

/** A host that wants to join. */
export interface JoinRequest {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly nodeId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

/** How many tokens may wait for hosts. */
const MOST_TOKENS = 1000;
/** How many certificates are told of at once. */
const MOST_CERTIFICATES = 20_000;
/** Milliseconds for which tokens whose time is over stay, so that it can be said what became of them. */
const TOKEN_MEMORY = 30 * 86_400_000;

/** The authority's part of a store. */
export interface StoreAuthority extends AsyncDisposable {
  /** Puts an authority into a store that has none; whatever it holds then is returned. */
  begin(authority: AuthorityRecord): Promise<AuthorityRecord>;
  /** The authority; undefined if there is none. */
  authority(): Promise<AuthorityRecord | undefined>;
  /** Keeps a new token. */
  addToken(
    token: Pick<TokenRecord, "id" | "role" | "once"> & {
      readonly secret: Uint8Array;
      /** Milliseconds from now. */
      readonly life: number;
    },
  ): Promise<TokenRecord>;
  /** All tokens, the oldest first. */
  tokens(): Promise<TokenRecord[]>;
  /** All certificates that hold or were revoked. */
  certificates(): Promise<CertificateRecord[]>;
  /** Serial numbers of certificates that were revoked. */
  revoked(): Promise<string[]>;
  /**
   * Certifies a host that has a token. Asked again by the same host, because the answer was lost, it answers the same.
   *
   * @throws {KnetError} exit code 4: the token is unknown, wrong, expired, used or revoked, or the node has a certificate already.
   */
  join(request: JoinRequest, certifier: Certifier): Promise<Made & { readonly role: string }>;
  /**
   * Certifies a node of the cluster: the first, or one that renews.
   *
   * @param before Its certificate's serial number; absent for the first node.
   * @throws {KnetError} exit code 4 if that one was revoked, or is another node's.
   */
  renew(
    node: {
      readonly nodeId: string;
      readonly role: string;
      readonly publicKey: Uint8Array<ArrayBuffer>;
      readonly before?: string;
    },
    certifier: Certifier,
  ): Promise<Made>;
  /**
   * Revokes a token, or all certificates of a node.
   *
   * @param what The token's or the node's id.
   * @returns what was revoked.
   * @throws {KnetError} exit code 4 if there is neither.
   */
  revoke(what: string): Promise<"token" | "node">;
}

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const unbase64 = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

/** The authority's part of a store over an engine. */
export function storeAuthority(engine: Engine): StoreAuthority {
  const read = <T>(work: (tx: Transaction) => Promise<T>) => readFrom(engine, work);
  const write = <T>(work: (tx: Transaction) => Promise<T>) => writeTo(engine, work);
  return {
    begin: (authority) =>
      write(async (tx) => {
        await tx.db.insert(authorityTable).values({
          id: 1,
          certificate: base64(authority.certificate),
          key: base64(authority.key),
        }).onConflictDoNothing();
        return (await readAuthority(tx))!;
      }),
    authority: () => read(readAuthority),
    addToken: (token) => write((tx) => addToken(tx, token)),
    tokens: () =>
      read(async ({ db }) =>
        (await db.select().from(tokenTable).orderBy(asc(tokenTable.made)).limit(MOST_TOKENS * 2))
          .map(tokenOf)
      ),
    certificates: () => read(certificates),
    revoked: () =>
      read(async ({ db, now }) =>
        (await db.select({ serial: certificateTable.serial }).from(certificateTable)
          .where(and(gt(certificateTable.revoked, 0), gt(certificateTable.expires, now)))
          .limit(MOST_CERTIFICATES)).map(({ serial }) => serial)
      ),
    join: (request, certifier) => write((tx) => join(tx, request, certifier)),
    renew: (node, certifier) => write((tx) => renew(tx, node, certifier)),
    revoke: (what) => write((tx) => revoke(tx, what)),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}

async function readAuthority({ db }: Transaction): Promise<AuthorityRecord | undefined> {
  const [row] = await db.select().from(authorityTable).limit(1);
  return row && { certificate: unbase64(row.certificate), key: unbase64(row.key) };
}

async function needAuthority(tx: Transaction): Promise<AuthorityRecord> {
  const authority = await readAuthority(tx);
  if (authority !== undefined) return authority;
  throw new KnetError("Cannot certify a node: this store has no authority", {
    exitCode: 4,
    remedy: "Tokens belong to clusters with a store of their own: knet up begins one",
  });
}

function tokenOf(row: typeof tokenTable.$inferSelect): TokenRecord {
  const { id, role, once, made, expires, used, revoked } = row;
  return { id, role, once: once !== 0, made, expires, used, revoked };
}

async function addToken(
  { db, now }: Transaction,
  { id, role, once, secret, life }: Parameters<StoreAuthority["addToken"]>[0],
): Promise<TokenRecord> {
  await db.delete(tokenTable).where(lt(tokenTable.expires, now - TOKEN_MEMORY));
  const held = await db.select({ id: tokenTable.id }).from(tokenTable).limit(MOST_TOKENS);
  if (held.length >= MOST_TOKENS) {
    throw new KnetError(`Cannot make a token: there are ${MOST_TOKENS} already`, {
      exitCode: 4,
      remedy:
        "Use one that is there (knet token ls): by default it is good for any number of hosts",
    });
  }
  const row = {
    ...{ id, role, secretHash: hash(secret), once: once ? 1 : 0, made: now },
    ...{ expires: now + life, used: 0, revoked: 0 },
  };
  await db.insert(tokenTable).values(row);
  return tokenOf(row);
}

async function certificates({ db, now }: Transaction): Promise<CertificateRecord[]> {
  const rows = await db.select({
    serial: certificateTable.serial,
    nodeId: certificateTable.nodeId,
    role: certificateTable.role,
    token: certificateTable.token,
    issued: certificateTable.issued,
    expires: certificateTable.expires,
    revoked: certificateTable.revoked,
  }).from(certificateTable).where(gt(certificateTable.expires, now))
    .orderBy(asc(certificateTable.nodeId), asc(certificateTable.issued)).limit(MOST_CERTIFICATES);
  return rows;
}

/** What a joining host is told of its token. */
const refusal = (state: string, remedy: string) =>
  new KnetError(`Cannot join by this token: ${state}`, { exitCode: 4, remedy });

const ANOTHER = "Make another with knet token on a host of the cluster";

async function join(tx: Transaction, request: JoinRequest, certifier: Certifier) {
  const { db, now } = tx;
  const { tokenId, secret, nodeId, publicKey } = request;
  const [token] = await db.select().from(tokenTable).where(eq(tokenTable.id, tokenId));
  const given = Buffer.from(hash(secret));
  if (token === undefined || !timingSafeEqual(given, Buffer.from(token.secretHash))) {
    throw refusal("the cluster does not know it, or forgot it long ago", ANOTHER);
  }
  const keyHash = hash(publicKey);
  const held = await db.select().from(certificateTable).where(
    and(
      eq(certificateTable.nodeId, nodeId),
      eq(certificateTable.revoked, 0),
      gt(certificateTable.expires, now),
    ),
  );
  const same = held.find((row) => row.token === tokenId && row.keyHash === keyHash);
  if (same !== undefined) {
    const { serial, expires, role } = same;
    return { certificate: unbase64(same.certificate), serial, expires, role };
  }
  const at = (time: number) => new Date(time).toISOString();
  if (token.revoked > 0) throw refusal(`it was revoked at ${at(token.revoked)}`, ANOTHER);
  if (token.expires <= now) throw refusal(`its time was over at ${at(token.expires)}`, ANOTHER);
  if (token.once !== 0 && token.used > 0) {
    throw refusal("it was for one host, and a host has used it", ANOTHER);
  }
  if (held.length > 0) {
    throw new KnetError(
      `Cannot join as the node ${nodeId}: a host with this id belongs to the cluster already`,
      {
        exitCode: 4,
        remedy:
          `If this is that host, which lost its data, run knet token revoke ${nodeId} on a host of the cluster, and try again; if it is a copy of that host, give it a machine-id of its own`,
      },
    );
  }
  const node = { nodeId, role: token.role, publicKey };
  const made = certifier(await needAuthority(tx), node);
  await keep(tx, node, made, tokenId);
  await db.update(tokenTable).set({ used: sql`${tokenTable.used} + 1` })
    .where(eq(tokenTable.id, tokenId));
  return { ...made, role: token.role };
}

async function renew(
  tx: Transaction,
  node: Parameters<StoreAuthority["renew"]>[0],
  certifier: Certifier,
): Promise<Made> {
  const { nodeId, publicKey, before } = node;
  let { role } = node;
  if (before !== undefined) {
    const [row] = await tx.db.select().from(certificateTable)
      .where(eq(certificateTable.serial, before));
    if (row === undefined || row.revoked > 0 || row.nodeId !== nodeId) {
      throw new KnetError(`Cannot renew the certificate of the node ${nodeId}: it was revoked`, {
        exitCode: 4,
        remedy: "Let the host join again with a new token",
      });
    }
    role = row.role;
  }
  const made = certifier(await needAuthority(tx), { nodeId, role, publicKey });
  await keep(tx, { nodeId, role, publicKey }, made, "");
  return made;
}

async function keep(
  { db, now }: Transaction,
  { nodeId, role, publicKey }: { nodeId: string; role: string; publicKey: Uint8Array },
  { certificate, serial, expires }: Made,
  token: string,
): Promise<void> {
  await db.delete(certificateTable).where(lt(certificateTable.expires, now));
  await db.insert(certificateTable).values({
    ...{ serial, nodeId, role, token, expires, issued: now, revoked: 0 },
    keyHash: hash(publicKey),
    certificate: base64(certificate),
  });
}

/** Revokes the certificates of a node that has left, if it has any. */
export async function retireNode(engine: Engine, nodeId: string): Promise<void> {
  await writeTo(engine, async (tx) => {
    await revokeNodes(tx, [nodeId]);
    // Whoever follows the store looks again at what was revoked.
    await raiseRevision(tx);
  });
}

/** Revokes the certificates of nodes within a write; who has none is passed over. */
export async function revokeNodes(
  { db, now }: Transaction,
  nodes: readonly string[],
): Promise<void> {
  for (const nodeId of nodes) {
    await db.update(certificateTable).set({ revoked: now })
      .where(and(eq(certificateTable.nodeId, nodeId), eq(certificateTable.revoked, 0)));
  }
}

async function revoke(tx: Transaction, what: string): Promise<"token" | "node"> {
  const { db, now } = tx;
  const tokens = await db.update(tokenTable).set({ revoked: now })
    .where(and(eq(tokenTable.id, what), eq(tokenTable.revoked, 0)))
    .returning({ id: tokenTable.id });
  const nodes = await db.update(certificateTable).set({ revoked: now })
    .where(and(
      or(eq(certificateTable.nodeId, what), eq(certificateTable.serial, what)),
      eq(certificateTable.revoked, 0),
    )).returning({ serial: certificateTable.serial });
  if (tokens.length + nodes.length === 0) {
    throw new KnetError(
      `Cannot revoke "${what}": no token that holds, and no node with a certificate, has this id`,
      { exitCode: 4, remedy: "See knet token ls" },
    );
  }
  // Whoever follows the store looks again at what was revoked.
  await raiseRevision(tx);
  return nodes.length > 0 ? "node" : "token";
}
