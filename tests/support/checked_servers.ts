/**
 * Looks at servers on the loopback address that answer as they are told.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { lookOf } from "../../core/health/look.ts";
import type { ProbeResult } from "../../core/health/probe.ts";
import type { ActiveCheck } from "../../core/services/check_kinds.ts";
import { parseCheck } from "../../core/services/check_text.ts";
import { CHECK_DEFAULTS } from "../../core/services/service.ts";

/** Milliseconds after which a look is given up; nothing that answers needs nearly as long. */
const PATIENCE = 20_000;

/** What a look at a port of this host comes to. */
export async function look(text: string, port: number, wait = PATIENCE): Promise<ProbeResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
  let calls = 0;
  const check = { ...parseCheck(text), ...CHECK_DEFAULTS } as ActiveCheck;
  const giveUp = lookOf(check)({ address: "127.0.0.1", port }, (result) => {
    if (++calls > 1) reject(new Error("a look ended twice"));
    else resolve(result);
  });
  const timer = setTimeout(giveUp, wait);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    giveUp();
  }
}

/** Answers what came first on a connection. */
export type Answer = (connection: Deno.Conn, request: string) => Promise<unknown>;

/** A server that answers what comes first on each connection, and then hangs up. */
export function serve(listener: Deno.Listener, answer: Answer) {
  const { port } = listener.addr as Deno.NetAddr;
  const serving = (async () => {
    const talks: Promise<void>[] = [];
    try {
      for await (const connection of listener) {
        talks.push((async () => {
          try {
            const buffer = new Uint8Array(4096);
            const count = await connection.read(buffer) ?? 0;
            await answer(connection, new TextDecoder().decode(buffer.subarray(0, count)));
          } catch {
            // Whoever asked has gone.
          }
          try {
            connection.close();
          } catch {
            // It has failed already.
          }
        })());
      }
    } catch {
      // It was closed.
    }
    await Promise.all(talks);
  })();
  return {
    port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

/** A text as bytes. */
export const bytes = (text: string) => new TextEncoder().encode(text);
/** A server without TLS. */
export const plain = (answer: Answer) =>
  serve(Deno.listen({ hostname: "127.0.0.1", port: 0 }), answer);
/** Always the same answer. */
export const says = (text: string): Answer => (connection) => connection.write(bytes(text));

/** A look that failed. */
export const failed = (detail: string): ProbeResult => ({ passed: false, detail });

/** Certificates of an authority: good ones, an old one. */
export async function authority(folder: string): Promise<void> {
  const script = `
    make() {
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $1.key -out $1.csr
      echo "subjectAltName=$2" > $1.ext
      openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $3 -extfile $1.ext -out $1.pem
    }
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    make name DNS:web.example 2
    make address IP:127.0.0.1 2
    make old DNS:web.example,IP:127.0.0.1 -1
  `;
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-ec", script],
    cwd: folder,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

/** The datagrams that answer one. */
export type Datagrams = (request: Uint8Array) => readonly Uint8Array[];

/** A server that answers each datagram by others. */
export async function datagrams(answer: Datagrams, port = 0) {
  const socket = createSocket("udp4");
  socket.on("message", (request, { port }) => {
    for (const one of answer(new Uint8Array(request))) socket.send(one, port, "127.0.0.1");
  });
  await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}
