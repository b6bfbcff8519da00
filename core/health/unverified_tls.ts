/**
 * TLS with whoever it is, for checks that want no certificate verified: by OpenSSL, since Deno's own TLS leaves none unverified, and
 * node:tls of Deno 2.4 neither says when the handshake is done nor closes a connection whose handshake never ends.
 *
 * @module
 */
import { TlsContext, type TlsSession } from "../../ffi/openssl/session.ts";
import type { Line } from "./line.ts";

/** Sends all that the session has for the other side. */
async function flush(line: Line, session: TlsSession): Promise<void> {
  for (let piece = session.take(); piece !== undefined; piece = session.take()) {
    await line.write(piece.slice());
  }
}

/** Feeds the session; false at the end of the connection. */
async function receive(line: Line, session: TlsSession): Promise<boolean> {
  const bytes = await line.read();
  if (bytes === undefined) return false;
  session.feed(bytes);
  return true;
}

/**
 * Agrees on TLS 1.2 or newer over a connection.
 *
 * @param name What is asked for; undefined: nothing.
 * @param keep Told how the session is freed, which may be done at any time, but not twice.
 * @throws {OpensslError} if the other side speaks something else; MissingLibraryError if this host has no OpenSSL.
 */
export async function beginUnverified(
  line: Line,
  name: string | undefined,
  keep: (free: () => void) => void,
): Promise<Line> {
  using context = new TlsContext({ older: true });
  const session = context.session("client", name);
  keep(() => session[Symbol.dispose]());
  for (let step = session.handshake(); step !== "done"; step = session.handshake()) {
    await flush(line, session);
    if (step === "end" || !await receive(line, session)) {
      throw new Error("it hung up before TLS began");
    }
  }
  await flush(line, session);
  const clear = new Uint8Array(16_384);
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.length;) {
        done += session.write(bytes.subarray(done));
        await flush(line, session);
      }
    },
    async read() {
      for (;;) {
        const got = session.read(clear);
        await flush(line, session);
        if (got === "end") return undefined;
        if (got !== "more") return clear.subarray(0, got);
        // Some servers hang up without the end that TLS has.
        if (!await receive(line, session)) return undefined;
      }
    },
  };
}
