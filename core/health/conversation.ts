/**
 * Looks by a conversation over a connection of its own, in plain words or TLS: something is sent, and what comes is judged piece by
 * piece until it says enough.
 *
 * @module
 */
import { MissingLibraryError } from "../../ffi/load.ts";
import { messageOf } from "../base/error.ts";
import { readAuthority } from "./authority_file.ts";
import { textOf } from "./bytes.ts";
import { type Line, lineOf } from "./line.ts";
import { failed, LATE, type ProbeResult, type ProbeTarget } from "./probe.ts";
import { beginUnverified } from "./unverified_tls.ts";

/** Bytes of an answer that are read. */
export const MOST_BYTES = 64 * 1024;
/** Characters of a reason. */
const MOST_DETAIL = 200;

/** What is said, and what is made of the answer. */
export interface Script {
  readonly send: Uint8Array<ArrayBuffer>;
  /**
   * Takes a piece of the answer, one character a byte; first an empty one, before anything came.
   *
   * @returns undefined while that says not enough.
   */
  judge(piece: string): ProbeResult | undefined;
  /**
   * What it comes to if nothing more is read.
   *
   * @param full More came than is read.
   */
  end(full: boolean): ProbeResult;
}

/** How TLS is spoken. */
export interface Tls {
  /** Name that is asked for and that the certificate has to be of; undefined: the address. */
  readonly name: string | undefined;
  /** Path of a PEM file with authorities. */
  readonly ca?: string | undefined;
  readonly verify: boolean;
}

/** Something that this host lacks: it says nothing of the real server. */
class Unable extends Error {}

type Keep = (close: () => void) => void;

async function connect(target: ProbeTarget, signal: AbortSignal, keep: Keep) {
  const { address: hostname, port } = target;
  const connection = await Deno.connect({ hostname, port, signal });
  keep(() => connection.close());
  return connection;
}

async function open(
  target: ProbeTarget,
  tls: Tls | undefined,
  signal: AbortSignal,
  keep: Keep,
): Promise<Line> {
  if (tls === undefined) return lineOf(await connect(target, signal, keep));
  if (!tls.verify) {
    const plain = lineOf(await connect(target, signal, keep));
    return await beginUnverified(plain, tls.name, keep);
  }
  const authority = tls.ca === undefined ? undefined : readAuthority(tls.ca);
  if (authority !== undefined && "fault" in authority) throw new Unable(authority.fault);
  const plain = await connect(target, signal, keep);
  const connection = await Deno.startTls(plain, {
    hostname: tls.name ?? target.address,
    ...(authority && { caCerts: [authority.pem] }),
  });
  keep(() => connection.close());
  await connection.handshake();
  return lineOf(connection);
}

async function talk(
  target: ProbeTarget,
  script: Script,
  tls: Tls | undefined,
  signal: AbortSignal,
  keep: Keep,
): Promise<ProbeResult> {
  const line = await open(target, tls, signal, keep);
  const early = script.judge("");
  if (early !== undefined) return early;
  if (script.send.length > 0) await line.write(script.send);
  for (let have = 0; have < MOST_BYTES;) {
    const bytes = await line.read();
    if (bytes === undefined) return script.end(false);
    const piece = bytes.subarray(0, MOST_BYTES - have);
    have += piece.length;
    const result = script.judge(textOf(piece));
    if (result !== undefined) return result;
  }
  return script.end(true);
}

/** What rustls calls by the names of its values, in words. */
const SAYINGS: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/Other\(OtherError\(CaUsedAsEndEntity\)\)/, "it is an authority's own, not a server's"],
  [/UnknownIssuer/, "its authority is unknown (UnknownIssuer)"],
];

function resultOf(error: unknown): ProbeResult {
  const said = SAYINGS.reduce(
    (text, [pattern, words]) => text.replace(pattern, words),
    messageOf(error),
  );
  const message = said.replaceAll(/\s+/g, " ").slice(0, MOST_DETAIL);
  if (error instanceof Unable || error instanceof MissingLibraryError) {
    return { passed: undefined, detail: message };
  }
  return failed((error as { code?: string }).code, message);
}

/**
 * Looks by a conversation.
 *
 * @returns what gives it up.
 */
export function converse(
  target: ProbeTarget,
  script: Script,
  tls: Tls | undefined,
  done: (result: ProbeResult) => void,
): () => void {
  const abort = new AbortController();
  const held: (() => void)[] = [];
  const shut = () => {
    for (let close = held.pop(); close !== undefined; close = held.pop()) {
      try {
        close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error; // It was closed already, or TLS took it over.
      }
    }
  };
  let ended = false;
  const end = (result: ProbeResult) => {
    if (ended) return;
    ended = true;
    shut();
    done(result);
  };
  const keep: Keep = (how) => {
    held.push(how);
    if (ended) shut();
  };
  talk(target, script, tls, abort.signal, keep).catch(resultOf).then(end);
  return () => {
    if (ended) return;
    abort.abort();
    // Reads know no signal: the end of the connection ends them.
    end(LATE);
  };
}
