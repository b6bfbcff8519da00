/**
 * The port as nodes, strangers and attackers meet it.
 *
 * Longer than others: one port is attacked in many ways.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasLibrary } from "../../ffi/load.ts";
import {
  type Authority,
  certify,
  makeAuthority,
  makeKeys,
  peerOf,
  type Role,
} from "./certificates.ts";
import { fingerprint } from "./certificates.ts";
import { dial, DialError, type DialOptions, learnAuthority } from "./dial.ts";
import { type Credentials, Port, type PortOptions } from "./port.ts";
import { type ByteStream, readFull, writeAll } from "../store/dqlite/stream.ts";

const ignore = !hasLibrary("libssl.so.3");
const HOUR = 3_600_000;
const HERE = "127.0.0.1";

async function credentialsOf(
  authority: Authority,
  nodeId: string,
  { role = "node", life }: { role?: Role; life?: number } = {},
): Promise<Credentials> {
  const { key, publicKey } = await makeKeys();
  const certificate = certify(authority, { nodeId, role, publicKey }, life);
  return { authority: authority.certificate, certificate, key };
}

async function echo(stream: ByteStream): Promise<void> {
  const buffer = new Uint8Array(4096);
  for (let count; (count = await stream.read(buffer)) !== null;) {
    await writeAll(stream, buffer.subarray(0, count));
  }
}

/** A port of the node `server` with an echo, and what it needs. */
async function lab(options: Partial<PortOptions> = {}) {
  const authority = await makeAuthority();
  const seen: string[] = [];
  const revoked = new Set<string>();
  const port = Port.open({
    credentials: await credentialsOf(authority, "server"),
    hostname: HERE,
    port: 0,
    servers: {
      echo: (stream, peer, from) => {
        seen.push(`${peer.nodeId} ${peer.role} ${from}`);
        return echo(stream);
      },
    },
    open: { enrol: echo },
    isRevoked: ({ serial }) => revoked.has(serial),
    ...options,
  });
  return {
    authority,
    port,
    seen,
    revoked,
    to: (credentials: DialOptions["credentials"], more: Partial<DialOptions> = {}) =>
      dial({ address: HERE, port: port.number, purpose: "echo", credentials, ...more }),
    [Symbol.asyncDispose]: () => port.stop(),
  };
}

async function say(stream: ByteStream, text: string): Promise<string> {
  await writeAll(stream, new TextEncoder().encode(text));
  const answer = new Uint8Array(text.length);
  assert.ok(await readFull(stream, answer));
  return new TextDecoder().decode(answer);
}

/** That dialling fails so. */
async function refused(
  dialled: Promise<ByteStream>,
  reason: DialError["reason"],
  message: RegExp,
): Promise<void> {
  await assert.rejects(dialled, (error) => {
    assert.ok(error instanceof DialError, String(error));
    assert.match(error.message, message);
    assert.equal(error.reason, reason, error.message);
    assert.ok(error.remedy);
    return true;
  });
}

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore, fn });

test("Port connects two nodes, each knowing who the other is, and carries more than it holds", async () => {
  await using place = await lab();
  const stream = await place.to(await credentialsOf(place.authority, "n1", { role: "admin" }), {
    nodeId: "server",
  });
  assert.equal(await say(stream, "hello"), "hello");
  const big = new Uint8Array(3_000_000).map((_, index) => index * 7);
  const back = new Uint8Array(big.length);
  const [, whole] = await Promise.all([writeAll(stream, big), readFull(stream, back)]);
  assert.ok(whole);
  assert.deepEqual(back, big);
  assert.deepEqual(place.seen, [`n1 admin ${HERE}`]);
  assert.deepEqual(place.port.peers.map(({ nodeId }) => nodeId), ["n1"]);
  stream.close();
});

test("Port tells a stream's end, and that it was cut", async () => {
  let end: unknown = "none";
  const ended: (() => void)[] = [];
  await using place = await lab({
    servers: {
      echo: async (stream) => {
        try {
          end = await stream.read(new Uint8Array(8));
        } catch (error) {
          end = error;
        }
        ended.shift()!();
      },
    },
  });
  const credentials = await credentialsOf(place.authority, "n1");
  for (const cut of [false, true]) {
    const over = new Promise<void>((resolve) => ended.push(resolve));
    const stream = await place.to(credentials);
    if (cut) stream.destroy();
    else stream.close();
    await over;
    if (cut) assert.match(String(end), /cut/);
    else assert.equal(end, null);
  }
});

test("Port speaks with nobody who has no certificate, another authority's, or one whose time is over", async () => {
  await using place = await lab();
  const other = await makeAuthority();
  const own = await credentialsOf(place.authority, "n1");
  await refused(place.to({ authority: place.authority.certificate }), "refused", /certificate/);
  await refused(
    place.to({ ...await credentialsOf(other, "n1"), authority: place.authority.certificate }),
    "refused",
    /does not believe this host's certificate/,
  );
  await refused(
    place.to(await credentialsOf(place.authority, "n1", { life: -HOUR })),
    "refused",
    /has expired/,
  );
  // An authority that has the very name of the right one.
  await refused(place.to({ ...own, authority: other.certificate }), "stranger", /cannot prove/);
  assert.deepEqual(place.seen, []);
  assert.equal(await say(await place.to(own), "ok"), "ok");
});

test("Port takes a certificate for no purpose that it does not know, and an open purpose from everybody", async () => {
  await using place = await lab();
  const own = await credentialsOf(place.authority, "n1");
  for (const purpose of ["other", "constructor", "__proto__", "", "x".repeat(64)]) {
    await refused(place.to(own, { purpose }), "refused", /does not know what is asked for/);
  }
  await refused(place.to(own, { purpose: "x".repeat(5000) }), "away", /./);
  const stream = await place.to({ authority: place.authority.certificate }, { purpose: "enrol" });
  assert.equal(await say(stream, "hello"), "hello");
  stream.close();
});

test("Port refuses a revoked certificate, and cuts connections that are there", async () => {
  await using place = await lab();
  const own = await credentialsOf(place.authority, "n1");
  const [mine, others] = [
    await place.to(own),
    await place.to(await credentialsOf(place.authority, "n2")),
  ];
  assert.equal(await say(mine, "before"), "before");
  place.revoked.add(peerOf(own.certificate).serial);
  place.port.recheck();
  await assert.rejects(async () => {
    if (await mine.read(new Uint8Array(1)) === null) throw new Error("ended");
  });
  await refused(place.to(own), "refused", /revoked/);
  // Not even by what is open to all.
  await refused(place.to(own, { purpose: "enrol" }), "refused", /revoked/);
  assert.equal(await say(others, "still"), "still");
  mine.close();
  others.close();
});

test("dial() speaks with the node that is meant, and with none whose certificate was revoked", async () => {
  await using place = await lab();
  const own = await credentialsOf(place.authority, "n1");
  await refused(place.to(own, { nodeId: "n2" }), "stranger", /it is the node server, not n2/);
  await refused(place.to(own, { isRevoked: () => true }), "stranger", /revoked/);
  assert.deepEqual(place.seen, []);
});

test("dial() does not believe a server without a node's certificate, with an old one, or in plain text", async () => {
  const authority = await makeAuthority();
  const own = await credentialsOf(authority, "n1");
  // The authority's own certificate is no node's.
  for (
    const [credentials, message] of [
      [{ authority: authority.certificate, ...authority }, /cannot prove/],
      [await credentialsOf(authority, "server", { life: -HOUR }), /expired/],
    ] as const
  ) {
    await using place = await lab({ credentials });
    await refused(place.to(own), "stranger", message);
  }
  using listener = Deno.listen({ hostname: HERE, port: 0 });
  const got: Uint8Array[] = [];
  const served = (async () => {
    using connection = await listener.accept();
    const buffer = new Uint8Array(4096);
    got.push(buffer.slice(0, await connection.read(buffer) ?? 0));
    await connection.write(new TextEncoder().encode("220 mail.example.com ESMTP\r\n"));
    await connection.read(buffer);
  })();
  await refused(
    dial({ address: HERE, port: listener.addr.port, purpose: "secret", credentials: own }),
    "stranger",
    /does not speak TLS/,
  );
  await served;
  assert.ok(!new TextDecoder().decode(got[0]).includes("secret"));
});

test("dial() gives up on a host that does not answer, and on one that accepts and says nothing", async () => {
  const own = await credentialsOf(await makeAuthority(), "n1");
  using listener = Deno.listen({ hostname: HERE, port: 0 });
  const silent = listener.accept();
  const { port } = listener.addr;
  await refused(
    dial({ address: HERE, port, purpose: "echo", credentials: own, patience: 100 }),
    "away",
    /too long/,
  );
  (await silent).close();
  listener.close();
  await refused(
    dial({ address: HERE, port, purpose: "echo", credentials: own }),
    "away",
    /refused/,
  );
});

test("learnAuthority() takes the certificate with the hash that is wanted and no other", async () => {
  await using place = await lab();
  const where = { address: HERE, port: place.port.number };
  const wanted = fingerprint(place.authority.certificate);
  assert.deepEqual(await learnAuthority(where, wanted), place.authority.certificate);
  wanted[31]! ^= 1;
  await assert.rejects(learnAuthority(where, wanted), /nothing was sent/);
});

test("Port.renew() shows another certificate to whoever comes then", async () => {
  await using place = await lab();
  const own = await credentialsOf(place.authority, "n1");
  const before = await place.to(own, { nodeId: "server" });
  place.port.renew(await credentialsOf(place.authority, "later"));
  const after = await place.to(own, { nodeId: "later" });
  assert.equal(await say(before, "a"), "a");
  assert.equal(await say(after, "b"), "b");
  before.close();
  after.close();
});

/** Reads a plain connection to its end, whatever it is. */
async function drained(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    while (await connection.read(buffer) !== null);
  } catch {
    // Reset.
  }
  connection.close();
}

test("Port goes on under noise: silence, garbage, half a handshake, and more connections than one address may have", async () => {
  await using place = await lab({
    bounds: { patience: 300, unknownOfOne: 20, burst: 100, interval: 1 },
  });
  const open = () => Deno.connect({ hostname: HERE, port: place.port.number });
  const own = await credentialsOf(place.authority, "n1");
  const begin = performance.now();
  const silent = await Promise.all(Array.from({ length: 40 }, open));
  await Promise.all(silent.map(drained));
  assert.ok(performance.now() - begin < 3000);
  const noise = await Promise.all(
    ["GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x40\x00", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]
      .map(async (text) => {
        const connection = await open();
        await connection.write(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
        return connection;
      }),
  );
  await Promise.all(noise.map(drained));
  assert.equal(await say(await place.to(own), "still here"), "still here");
});

test("Port bounds how many connections one node has, and how fast one address begins them", async () => {
  {
    await using place = await lab({ bounds: { ofOne: 3 } });
    const own = await credentialsOf(place.authority, "n1");
    const streams = await Promise.all([place.to(own), place.to(own), place.to(own)]);
    await refused(place.to(own), "refused", /too many connections/);
    await place.to(await credentialsOf(place.authority, "n2"));
    for (const stream of streams) stream.close();
  }
  await using place = await lab({ bounds: { burst: 4, interval: 60_000 } });
  const own = await credentialsOf(place.authority, "n1");
  for (let round = 0; round < 4; round++) (await place.to(own)).close();
  await refused(place.to(own), "away", /./);
});

Deno.test({
  name: "Port speaks TLS 1.3 and nothing older",
  ignore: ignore || !hasOpenssl(),
  async fn() {
    await using place = await lab();
    const connect = async (version: string) => {
      const { stdout, stderr } = await new Deno.Command("openssl", {
        args: ["s_client", "-connect", `${HERE}:${place.port.number}`, version],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assert.match(await connect("-tls1_3"), /CONNECTED[^]*TLSv1\.3, Cipher is TLS_/);
    const old = await connect("-tls1_2");
    assert.match(old, /protocol version|Cipher is \(NONE\)/);
    assert.doesNotMatch(old, /Cipher is [A-Z]+-/);
  },
});

function hasOpenssl(): boolean {
  try {
    return new Deno.Command("openssl", { args: ["version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
