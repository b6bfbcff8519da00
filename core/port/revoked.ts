/**
 * Certificates that were revoked. Hosts with a copy of the store read them there and sign the list with the authority's key, so that the
 * others need not believe whoever tells them; each keeps the last one, for times when the store is away.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as v from "valibot";
import { publicKeyOf } from "../../ffi/openssl/certificate.ts";
import { wallClock } from "../base/clock.ts";
import { readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import type { Authority, Peer } from "./certificates.ts";
import { text } from "./frame.ts";
import { portFiles } from "./node_files.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;

/** A list as it is sent and kept. */
export const REVOKED_LIST = v.object({
  serials: v.pipe(v.array(text(64)), v.maxLength(20_000)),
  /** Milliseconds since the epoch: a list is replaced by later ones only. */
  at: v.pipe(v.number(), v.safeInteger()),
  /** Of the authority, base64. */
  signature: text(128),
});

/** A list that the authority has signed. */
export type RevokedList = v.InferOutput<typeof REVOKED_LIST>;

const content = ({ serials, at }: Pick<RevokedList, "serials" | "at">) =>
  new TextEncoder().encode(`knet revoked ${at} ${serials.join(" ")}`);

/** Signs a list. */
export async function signRevoked(
  { key }: Pick<Authority, "key">,
  serials: readonly string[],
  at = wallClock(),
): Promise<RevokedList> {
  const signer = await crypto.subtle.importKey("pkcs8", key, ALGORITHM, false, ["sign"]);
  const list = { serials: serials.toSorted(), at };
  const signature = await crypto.subtle.sign(SIGNING, signer, content(list));
  return { ...list, signature: Buffer.from(signature).toString("base64") };
}

/** The list that a host goes by. */
export class Revoked {
  readonly #path: string;
  readonly #authority: Uint8Array<ArrayBuffer>;
  #list: RevokedList | undefined;
  #serials: ReadonlySet<string> = new Set();

  private constructor(dataDir: string, authority: Uint8Array<ArrayBuffer>) {
    this.#path = portFiles(dataDir).revoked;
    this.#authority = authority;
  }

  /**
   * The list that was kept, if the authority signed it.
   *
   * @param authority Its certificate, DER.
   */
  static async read(dataDir: string, authority: Uint8Array<ArrayBuffer>): Promise<Revoked> {
    const made = new Revoked(dataDir, authority);
    try {
      const kept = readTextIfPresent(made.#path);
      if (kept !== undefined) await made.take(parseShape(REVOKED_LIST, kept));
    } catch {
      // The next one is asked for soon.
    }
    return made;
  }

  /** The list; undefined if there was none yet. */
  get list(): RevokedList | undefined {
    return this.#list;
  }

  /** Whether a node's certificate was revoked. */
  has({ serial }: Pick<Peer, "serial">): boolean {
    return this.#serials.has(serial);
  }

  /** Whether these are the serial numbers of the list. */
  is(serials: readonly string[]): boolean {
    return this.#list !== undefined && serials.length === this.#serials.size &&
      serials.every((serial) => this.#serials.has(serial));
  }

  /**
   * Takes a later list.
   *
   * @returns whether anything is new.
   */
  async take(list: RevokedList): Promise<boolean> {
    if (list.at <= (this.#list?.at ?? 0)) return false;
    const key = await crypto.subtle.importKey(
      "spki",
      publicKeyOf(this.#authority),
      ALGORITHM,
      false,
      ["verify"],
    );
    const signature = new Uint8Array(Buffer.from(list.signature, "base64"));
    if (!await crypto.subtle.verify(SIGNING, key, signature, content(list))) return false;
    if (list.at <= (this.#list?.at ?? 0)) return false;
    this.#list = list;
    this.#serials = new Set(list.serials);
    try {
      writeFileAtomically(this.#path, `${JSON.stringify(list)}\n`, 0o600, 0o700);
    } catch {
      // A full disk keeps nobody out.
    }
    return true;
  }
}
