/**
 * A TLS connection to Postgres ("SSL Session Encryption" in PostgreSQL's manual), by Deno's own TLS.
 *
 * @module
 */
import { messageOf, StoreAwayError } from "../base/error.ts";
import type { PostgresPlace } from "./postgres_url.ts";

/** int32 length, int32 80877103: "SSLRequest". */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);
const NO = "N".charCodeAt(0);

/**
 * Connects and begins TLS; the server's certificate has to be of its name and of a known authority.
 *
 * @param authority Certificate of an authority in PEM beside those that Deno knows.
 * @param signal Calls it off.
 * @param optional A server without TLS is no error.
 * @returns undefined if that is so.
 * @throws {StoreAwayError} if the server does not answer, has no TLS, or its certificate is not good.
 */
export async function connectTls(
  place: PostgresPlace,
  authority: string | undefined,
  signal: AbortSignal,
  optional = false,
): Promise<Deno.TlsConn | undefined> {
  const { host: hostname, port } = place;
  const plain = await Deno.connect({ hostname, port, signal });
  // Reads know no signal: the end of the connection ends them.
  const end = () => plain.close();
  signal.addEventListener("abort", end);
  try {
    plain.setNoDelay(true);
    plain.setKeepAlive(true);
    await plain.write(SSL_REQUEST);
    const answer = new Uint8Array(1);
    if (await plain.read(answer) !== 1 || answer[0] !== YES) {
      if (optional && answer[0] === NO) return plain.close() as undefined;
      throw new Error("the server has no TLS");
    }
    const connection = await Deno.startTls(plain, {
      hostname,
      ...(authority !== undefined && { caCerts: [authority] }),
    });
    try {
      await connection.handshake();
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  } catch (error) {
    try {
      plain.close();
    } catch {
      // TLS took it over.
    }
    throw new StoreAwayError(`Cannot speak TLS with ${hostname}:${port}: ${messageOf(error)}`, {
      cause: error,
      remedy:
        "Check the server's certificate, sslrootcert in the store's URL, and the host's clock",
    });
  } finally {
    signal.removeEventListener("abort", end);
  }
}
