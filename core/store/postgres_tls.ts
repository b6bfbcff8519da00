/**
 * A TLS connection to Postgres ("SSL Session Encryption" in PostgreSQL's manual), for the `postgres` package.
 *
 * The package upgrades its own socket through node:tls, which never comes to an end on Deno 2.4; Deno's own
 * TLS does.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { messageOf, StoreAwayError } from "../base/error.ts";

/** A place to connect to. */
export interface TlsPlace {
  readonly host: string;
  readonly port: number;
}

/** int32 length, int32 80877103: "SSLRequest". */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);

/**
 * Connects and begins TLS; the server's certificate has to be of its name and of a known authority.
 *
 * @param authority Certificate of an authority in PEM beside those that Deno knows.
 * @throws {StoreAwayError} if the server does not answer, has no TLS, or its certificate is not good.
 */
export async function connectTls(place: TlsPlace, authority: string | undefined): Promise<Duplex> {
  const { host: hostname, port } = place;
  const plain = await Deno.connect({ hostname, port });
  try {
    plain.setKeepAlive(true);
    await plain.write(SSL_REQUEST);
    const answer = new Uint8Array(1);
    if (await plain.read(answer) !== 1 || answer[0] !== YES) {
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
    return streamOf(connection);
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
  }
}

function streamOf(connection: Deno.Conn): Duplex {
  const bytes = new Uint8Array(65_536);
  return new Duplex({
    read() {
      connection.read(bytes).then(
        (count) => this.push(count === null ? null : Buffer.from(bytes.slice(0, count))),
        (error) => this.destroy(error),
      );
    },
    write(chunk: Uint8Array, _encoding, done) {
      writeAll(connection, chunk).then(() => done(), done);
    },
    final(done) {
      connection.closeWrite().then(() => done(), () => done());
    },
    destroy(error, done) {
      try {
        connection.close();
      } catch {
        // It is closed.
      }
      done(error);
    },
  });
}

async function writeAll(connection: Deno.Conn, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) done += await connection.write(chunk.subarray(done));
}
