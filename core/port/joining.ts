/**
 * Joining a cluster by its token, once or again: a host that has joined already learns where the cluster is now.
 *
 * @module
 */
import { KnetError, messageOf } from "../base/error.ts";
import { closeQuietly } from "../store/dqlite/stream.ts";
import { fingerprint, peerOf } from "./certificates.ts";
import { dial, DialError } from "./dial.ts";
import { enrol } from "./enrolment.ts";
import { ask, HungUpError } from "./frame.ts";
import { HOSTS, Hosts } from "./hosts.ts";
import { forgetCluster, readCredentials } from "./node_files.ts";
import type { Credentials } from "./port.ts";
import type { Token } from "./token.ts";

/** The purpose of connections by which nodes tell each other where hosts are. */
export const HOSTS_PURPOSE = "hosts";

/** What came of it. */
export type Joined =
  | { readonly state: "joined" | "known" }
  /** The cluster had let it out, and has taken it as a new host: what it has of the store is of no use any more. */
  | { readonly state: "again" }
  /** It has joined before, and none of the token's hosts answers now. */
  | { readonly state: "unheard"; readonly why: string };

/** The host that joins. */
export interface JoiningHost {
  readonly nodeId: string;
  readonly dataDir: string;
  /** Whether it has left the cluster that it knows, if any: then it may join another one. */
  readonly left?: boolean;
  /** Milliseconds for each connection. */
  readonly patience?: number;
  /** Milliseconds for which a cluster is asked again that is there and has no time. */
  readonly busy?: number;
}

/**
 * Makes this host a node of the token's cluster, if it is none.
 *
 * @throws {KnetError} exit code 4 if it belongs to another cluster, or the token does not let it in; {@linkcode DialError}.
 */
export async function joinByToken(token: Token, host: JoiningHost): Promise<Joined> {
  const { dataDir } = host;
  const own = readCredentials(dataDir);
  if (own === undefined) {
    await enrol(token, host);
    return { state: "joined" };
  }
  if (!fingerprint(own.authority).every((byte, index) => byte === token.authority[index])) {
    if (host.left) {
      forgetCluster(dataDir);
      await enrol(token, host);
      return { state: "joined" };
    }
    throw new KnetError("Cannot join by this token: this host belongs to another cluster", {
      exitCode: 4,
      remedy: "Run knet leave, which says what to do if this host has the last copy of its store",
    });
  }
  try {
    await findAgain(token, host, own);
    return { state: "known" };
  } catch (error) {
    if (error instanceof HungUpError) return { state: "unheard", why: messageOf(error) };
    if (!(error instanceof DialError)) throw error;
    // Its certificate was revoked, or its time is over: the token may give it another.
    if (error.reason !== "refused") return { state: "unheard", why: messageOf(error) };
    await enrol(token, host);
    return { state: "again" };
  }
}

/** Asks the token's hosts where the others are. */
async function findAgain(token: Token, host: JoiningHost, own: Credentials): Promise<void> {
  const hosts = new Hosts(host.dataDir);
  const { port } = token;
  let last: unknown;
  for (const address of token.addresses) {
    try {
      const patience = host.patience ?? 3000;
      const options = { address, port, patience, purpose: HOSTS_PURPOSE, credentials: own };
      const stream = await dial(options);
      try {
        const { nodeId } = peerOf(stream.peerCertificate()!);
        hosts.met(nodeId, address, port);
        const told = await ask(stream, hosts.all, HOSTS);
        hosts.told(told.filter(({ nodeId }) => nodeId !== host.nodeId));
        return;
      } finally {
        closeQuietly(stream);
      }
    } catch (error) {
      // One that refuses is of the cluster and says why; another may only be away.
      if (!(last instanceof DialError && last.reason === "refused")) last = error;
    }
  }
  throw last;
}
