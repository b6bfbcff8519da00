/**
 * How a host gets its certificate: it has a token, makes sure that it speaks with the cluster that the token is of, and sends its public
 * key and the secret. Its private key never leaves it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import { monotonicClock, random, sleep } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { isNodeWord } from "../cluster/node_word.ts";
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import type { Certifier, StoreAuthority } from "../store/authority.ts";
import { certify, makeKeys, peerOf, type Role, ROLES } from "./certificates.ts";
import { dial, DialError, learnAuthority } from "./dial.ts";
import { answer, ask, HungUpError, LONGEST_OF_STRANGERS, text } from "./frame.ts";
import { HOSTS, Hosts, type KnownHost } from "./hosts.ts";
import { readAskingKeys, writeAskingKeys, writeCredentials } from "./node_files.ts";
import type { Credentials } from "./port.ts";
import type { TlsStream } from "./tls_stream.ts";
import type { Token } from "./token.ts";

const log = getLogger(["knet", "port"]);

/** The purpose of connections by which hosts join; open to everybody. */
export const ENROL = "enrol";

/** A request as it comes from outside. */
export const REQUEST = v.object({
  token: text(32),
  secret: text(64),
  nodeId: v.pipe(text(63), v.check(isNodeWord, "it is no node id")),
  publicKey: text(256),
});

/** What a host says that wants to join. */
export type EnrolRequest = v.InferOutput<typeof REQUEST>;

const ANSWER = v.object({ certificate: text(4096), hosts: HOSTS });

/** What it is answered. */
export type EnrolAnswer = v.InferOutput<typeof ANSWER>;

const unbase64 = (word: string) => new Uint8Array(Buffer.from(word, "base64"));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** Makes certificates by an authority's key. */
export const certifier: Certifier = (authority, { nodeId, role, publicKey }) => {
  const known = ROLES.find((each) => each === role);
  if (known === undefined) {
    throw new KnetError(`Cannot certify a node: there is no role "${role}"`, { exitCode: 4 });
  }
  const certificate = certify(authority, { nodeId, role: known, publicKey });
  const { serial, notAfter } = peerOf(certificate);
  return { certificate, serial, expires: notAfter };
};

/** Lets a host in. @throws {KnetError} see {@linkcode StoreAuthority.join}. */
export async function letIn(
  authority: StoreAuthority,
  request: EnrolRequest,
  hosts: readonly KnownHost[],
): Promise<EnrolAnswer> {
  const { certificate } = await authority.join({
    tokenId: request.token,
    secret: unbase64(request.secret),
    nodeId: request.nodeId,
    publicKey: unbase64(request.publicKey),
  }, certifier);
  return { certificate: base64(certificate), hosts: [...hosts] };
}

/** Serves a host that wants to join. */
export function serveEnrolment(
  stream: ByteStream,
  act: (request: EnrolRequest) => Promise<EnrolAnswer>,
): Promise<void> {
  return answer(stream, REQUEST, act, LONGEST_OF_STRANGERS);
}

/** Passes a request on to a host of the cluster, over a stream to it. */
export function passOn(stream: ByteStream, request: EnrolRequest): Promise<EnrolAnswer> {
  return ask(stream, request, ANSWER);
}

/** What a host got by joining. */
export interface Enrolled {
  readonly credentials: Credentials;
  readonly role: Role;
  /** Hosts of the cluster, which are kept in the data directory. */
  readonly hosts: readonly KnownHost[];
}

/** A host that lets itself be enrolled. */
export interface EnrollingHost {
  readonly nodeId: string;
  /** Where the key is kept, before anything is sent, and the certificate. */
  readonly dataDir: string;
  /** Milliseconds for each connection. */
  readonly patience?: number;
  /** Milliseconds for which a cluster is asked again that is there and has no time; absent: not at all. */
  readonly busy?: number;
}

/** Milliseconds between two questions to a cluster that has no time. */
const PAUSE = 1000;

/**
 * Joins by a token, see {@linkcode enrolOnce}; fifty may come at one moment, and a store that just chooses who leads takes nobody.
 *
 * @throws {KnetError} as {@linkcode enrolOnce}.
 */
export async function enrol(token: Token, host: EnrollingHost): Promise<Enrolled> {
  let told = false;
  for (const until = monotonicClock() + (host.busy ?? 0);;) {
    try {
      return await enrolOnce(token, host);
    } catch (error) {
      if (!isBusy(error) || monotonicClock() >= until) throw error;
      if (!told) log.info("Asks the cluster again: {why}", { why: messageOf(error) });
      told = true;
    }
    await sleep(PAUSE * (0.5 + random()));
  }
}

/** Whether another answer is to be hoped for: the host was there, and nothing that it said was final. */
function isBusy(error: unknown): boolean {
  if (error instanceof DialError) return error.busy;
  return error instanceof KnetError && error.exitCode === 1;
}

/**
 * Joins by a token: the token's hosts are asked one after the other. The secret goes to nobody who has not proven the authority.
 *
 * @throws {KnetError} what the cluster says; {@linkcode DialError} if none of the hosts could be asked; {@linkcode HungUpError} if none
 * answered.
 */
async function enrolOnce(
  token: Token,
  { nodeId, dataDir, patience }: EnrollingHost,
): Promise<Enrolled> {
  let keys = readAskingKeys(dataDir);
  if (keys === undefined) {
    keys = await makeKeys();
    writeAskingKeys(dataDir, keys);
  }
  const failures: (DialError | HungUpError)[] = [];
  for (const address of token.addresses) {
    const where = { address, port: token.port, ...(patience !== undefined && { patience }) };
    let stream: TlsStream | undefined;
    try {
      const authority = await learnAuthority(where, token.authority);
      stream = await dial({ ...where, purpose: ENROL, credentials: { authority } });
      const { certificate, hosts } = await ask(stream, {
        token: token.id,
        secret: base64(token.secret),
        nodeId,
        publicKey: base64(keys.publicKey),
      }, ANSWER);
      const credentials = { authority, certificate: unbase64(certificate), key: keys.key };
      const { role } = peerOf(credentials.certificate);
      const { nodeId: server } = peerOf(stream.peerCertificate()!);
      const known = new Hosts(dataDir);
      known.told(hosts.filter((host) => host.nodeId !== nodeId));
      known.met(server, address, token.port);
      writeCredentials(dataDir, credentials);
      writeAskingKeys(dataDir, undefined);
      return { credentials, role, hosts: known.all };
    } catch (error) {
      if (!(error instanceof DialError || error instanceof HungUpError)) throw error;
      failures.push(error);
    } finally {
      if (stream !== undefined) closeQuietly(stream);
    }
  }
  throw gravest(failures);
}

/**
 * Of failures the one to be told: one that was let through and not answered may yet be; else somebody who cannot prove the authority is
 * worse than nobody.
 */
function gravest(failures: readonly (DialError | HungUpError)[]): KnetError {
  const dials = failures.filter((error) => error instanceof DialError);
  return failures.find((error) => error instanceof HungUpError) ??
    dials.find(({ reason }) => reason === "stranger") ??
    dials.find(({ reason }) => reason === "refused") ?? failures[0]!;
}
