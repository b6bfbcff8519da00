/**
 * A program of its own that runs inside a container: `serve PORT BYTES` sends that many bytes to
 * everyone who connects, `fetch PORT ADDRESS…` reads them and prints one JSON line an address.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** TCP port of the transfers. */
export const TRANSFER_PORT = 5001;

/** What one transfer came to. */
export interface Transfer {
  readonly address: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

/** The same bytes for everyone: a linear congruential sequence, so that no two blocks are alike. */
export function payload(bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = 0x6b6e6574;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** Hexadecimal SHA-256 of bytes. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function serve(port: number, bytes: number): Promise<void> {
  const data = payload(bytes);
  const listener = Deno.listen({ hostname: "0.0.0.0", port });
  console.log("ready");
  for await (const connection of listener) {
    send(connection, data).catch(() => {});
  }
}

async function send(connection: Deno.Conn, data: Uint8Array): Promise<void> {
  using open = connection;
  let sent = 0;
  while (sent < data.length) sent += await open.write(data.subarray(sent, sent + 262_144));
  await open.closeWrite();
}

async function receive(address: string, port: number): Promise<Transfer> {
  const start = performance.now();
  using connection = await Deno.connect({ hostname: address, port });
  const hash = createHash("sha256");
  const buffer = new Uint8Array(262_144);
  let bytes = 0;
  while (true) {
    const length = await connection.read(buffer);
    if (length === null) break;
    hash.update(buffer.subarray(0, length));
    bytes += length;
  }
  const seconds = (performance.now() - start) / 1000;
  return { address, bytes, sha256: hash.digest("hex"), seconds };
}

if (import.meta.main) {
  const [mode, port, ...rest] = Deno.args;
  if (mode === "serve") await serve(Number(port), Number(rest[0]));
  else {
    for (const address of rest) console.log(JSON.stringify(await receive(address, Number(port))));
  }
}
