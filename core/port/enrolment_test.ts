/**
 * Hosts that join by a token, and those that may not.
 *
 * Longer than others: each way to be let in, and each to be refused, needs the same cluster.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasLibrary } from "../../ffi/load.ts";
import { KnetError, StoreAwayError } from "../base/error.ts";
import { carry, closeQuietly } from "../store/dqlite/stream.ts";
import { openStore, openStoreAuthority } from "../store/open.ts";
import type { StoreAuthority } from "../store/authority.ts";
import { type Authority, fingerprint, makeAuthority, makeKeys, peerOf } from "./certificates.ts";
import { dial, DialError } from "./dial.ts";
import { certifier, ENROL, enrol, letIn, serveEnrolment } from "./enrolment.ts";
import { readCredentials } from "./node_files.ts";
import { Port } from "./port.ts";
import { makeSecret, type Token } from "./token.ts";

const ignore = !hasLibrary("libssl.so.3");
const HERE = "127.0.0.1";
const HOUR = 3_600_000;
const ELSEWHERE = [{ nodeId: "first", addresses: [HERE], port: 8473 }];

/** A cluster of one host. */
async function lab() {
  const folder = Deno.makeTempDirSync({ prefix: "knet-enrolment-" });
  const stack = new AsyncDisposableStack();
  stack.defer(() => Deno.removeSync(folder, { recursive: true }));
  const url = `sqlite:${folder}/knet.db`;
  await using store = await openStore(url);
  await store.getConfig();
  const store_ = stack.use(await openStoreAuthority(url));
  const authority = await store_.begin(await makeAuthority());
  const { key, publicKey } = await makeKeys();
  const { certificate } = await store_.renew(
    { nodeId: "first", role: "admin", publicKey },
    certifier,
  );
  const revoked = new Set<string>();
  let asked = 0;
  const trouble: Error[] = [];
  const cuts: (() => void)[] = [];
  const port = stack.use(Port.open({
    credentials: { authority: authority.certificate, certificate, key },
    hostname: HERE,
    port: 0,
    servers: { store: async (stream) => void await stream.read(new Uint8Array(1)) },
    open: {
      [ENROL]: (stream) =>
        serveEnrolment(stream, (request) => {
          asked++;
          const error = trouble.shift();
          if (error !== undefined) throw error;
          cuts.shift()?.();
          return letIn(store_, request, ELSEWHERE);
        }),
    },
    isRevoked: ({ serial }) => revoked.has(serial),
  }));
  let hosts = 0;
  return {
    ...{ authority, store: store_, port, revoked },
    /** What is in the way of the next ones that ask. */
    trouble,
    /** What is done to the next ones before they are answered. */
    cuts,
    get asked() {
      return asked;
    },
    token: (more: Partial<Parameters<StoreAuthority["addToken"]>[0]> = {}) =>
      tokenOf(store_, authority, port.number, more),
    /** A host's data directory. */
    host: () => `${folder}/host${hosts++}`,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function tokenOf(
  store: StoreAuthority,
  authority: Pick<Authority, "certificate">,
  port: number,
  more: Partial<Parameters<StoreAuthority["addToken"]>[0]>,
): Promise<Token> {
  const { id, secret } = makeSecret();
  await store.addToken({ id, secret, role: "node", once: false, life: HOUR, ...more });
  return { authority: fingerprint(authority.certificate), id, secret, port, addresses: [HERE] };
}

async function refuses(joining: Promise<unknown>, message: RegExp, exitCode = 4): Promise<void> {
  await assert.rejects(joining, (error) => {
    assert.ok(error instanceof KnetError, String(error));
    assert.match(error.message, message);
    assert.equal(error.exitCode, exitCode);
    assert.ok(error.remedy);
    return true;
  });
}

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore, fn });

test("enrol() gets a certificate by which the host is known, and remembers it", async () => {
  await using cluster = await lab();
  const dataDir = cluster.host();
  const { credentials, hosts, role } = await enrol(await cluster.token(), {
    nodeId: "n1",
    dataDir,
  });
  assert.equal(role, "node");
  // Where it was met comes first.
  const { number: port } = cluster.port;
  assert.deepEqual(hosts, [{ nodeId: "first", addresses: [HERE], port }]);
  assert.deepEqual(readCredentials(dataDir), credentials);
  assert.equal(Deno.statSync(`${dataDir}/node.pem`).mode! & 0o777, 0o600);
  const stream = await dial({
    ...{ address: HERE, port: cluster.port.number, purpose: "store", nodeId: "first" },
    credentials,
  });
  stream.close();
  assert.equal(peerOf(credentials.certificate).nodeId, "n1");
  const { notAfter } = peerOf(credentials.certificate);
  assert.ok(Math.abs(notAfter - Date.now() - 90 * 24 * HOUR) < HOUR);
});

test("enrol() by a token of the role admin gives that role, which the host cannot choose itself", async () => {
  await using cluster = await lab();
  const options = { nodeId: "n1", dataDir: cluster.host() };
  const { role } = await enrol(await cluster.token({ role: "admin" }), options);
  assert.equal(role, "admin");
});

test("enrol() is refused with a token that is expired, used, revoked, unknown or of a wrong secret, each in its own words", async () => {
  await using cluster = await lab();
  const options = () => ({ nodeId: "n1", dataDir: cluster.host() });
  await refuses(enrol(await cluster.token({ life: -1 }), options()), /its time was over/);
  const once = await cluster.token({ once: true });
  await enrol(once, { ...options(), nodeId: "n9" });
  await refuses(enrol(once, options()), /for one host, and a host has used it/);
  const revoked = await cluster.token();
  assert.equal(await cluster.store.revoke(revoked.id), "token");
  await refuses(enrol(revoked, options()), /it was revoked/);
  const token = await cluster.token();
  await refuses(enrol({ ...token, id: "ffffffffffff" }, options()), /does not know it/);
  const wrong = { ...token, secret: new Uint8Array(16) };
  await refuses(enrol(wrong, options()), /does not know it/);
  // None of that has used the token up.
  await enrol(token, options());
});

test("enrol() sends nothing to another cluster, to one who knows the authority but not its key, or where nobody is", async () => {
  await using cluster = await lab();
  await using other = await lab();
  const token = await cluster.token();
  const options = { nodeId: "n1", dataDir: cluster.host(), patience: 500 };
  await refuses(
    enrol({ ...token, port: other.port.number }, options),
    /cannot prove that it belongs to the cluster; nothing was sent/,
    1,
  );
  // A man in between shows the right authority's certificate beside one of his own making.
  const { key, publicKey } = await makeKeys();
  const forged = await makeAuthority();
  const { certificate } = certifier(forged, { nodeId: "first", role: "admin", publicKey });
  let heard = 0;
  const servers = { [ENROL]: () => Promise.resolve(void heard++) };
  for (const own of [certificate, cluster.authority.certificate]) {
    const credentials = { authority: cluster.authority.certificate, certificate: own, key };
    try {
      await using between = Port.open({
        ...{ credentials, hostname: HERE, port: 0, servers: {}, open: servers },
        isRevoked: () => false,
      });
      await refuses(enrol({ ...token, port: between.number }, options), /cannot prove/, 1);
    } catch (error) {
      // Without the key the authority's own certificate cannot even be shown.
      assert.equal((error as Error).name, "OpensslError");
    }
  }
  assert.equal(heard, 0);
  assert.equal(other.asked, 0);
  await assert.rejects(
    enrol({ ...token, port: 1 }, options),
    (error) => error instanceof DialError && error.reason === "away",
  );
});

test("enrol() asks the next host of the token if one is away, and again with the same key if an answer was lost", async () => {
  await using cluster = await lab();
  const token = await cluster.token({ once: true });
  const dataDir = cluster.host();
  const options = { nodeId: "n1", dataDir, patience: 500 };
  const first = await enrol({ ...token, addresses: ["127.0.0.9", HERE] }, options)
    .catch(() => enrol(token, options));
  // The answer was lost: the host knows its key and nothing else.
  const { key, certificate } = first.credentials;
  const node = await crypto.subtle.importKey(
    "pkcs8",
    key,
    {
      name: "ECDSA",
      namedCurve: "P-256",
    },
    true,
    ["sign"],
  );
  const { d: _, key_ops: __, ...open } = await crypto.subtle.exportKey("jwk", node);
  const publicKey = await crypto.subtle.importKey(
    "jwk",
    open,
    { name: "ECDSA", namedCurve: "P-256" },
    true,
    ["verify"],
  );
  const { writeAskingKeys } = await import("./node_files.ts");
  writeAskingKeys(dataDir, {
    key,
    publicKey: new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)),
  });
  const again = await enrol(token, options);
  assert.deepEqual(again.credentials.certificate, certificate);
});

/** A door before a port that slams on the first ones that come. */
function slamming(port: number, times: number, where = { hostname: HERE, port: 0 }) {
  const listener = Deno.listen(where);
  let last: Deno.Conn | undefined;
  const serving = (async () => {
    for await (const stream of listener) {
      if (times-- > 0) {
        stream.close();
        continue;
      }
      last = stream;
      void carry(stream, await Deno.connect({ hostname: HERE, port }));
    }
  })();
  return {
    port: listener.addr.port,
    /** Cuts the one that came last. */
    cut: () => closeQuietly(last!),
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

test("enrol() asks a host that has no time again, and one whose store is just away, but no longer than it may", async () => {
  await using cluster = await lab();
  const token = await cluster.token();
  await using door = slamming(cluster.port.number, 3);
  const there = { ...token, port: door.port };
  const host = { nodeId: "n1", dataDir: cluster.host() };
  await assert.rejects(enrol(there, host), DialError);
  cluster.trouble.push(new StoreAwayError("its hosts are just choosing who leads"));
  await enrol(there, { ...host, busy: 30_000 });
  assert.equal(cluster.asked, 2);
  // What is final is told at once, and nobody at all, too.
  const final = { nodeId: "n2", dataDir: cluster.host(), busy: 30_000 };
  const begin = performance.now();
  await refuses(enrol({ ...there, secret: new Uint8Array(16) }, final), /does not know it/);
  await assert.rejects(enrol({ ...there, addresses: ["127.0.0.9"], port: 1 }, final), DialError);
  assert.ok(performance.now() - begin < 10_000);
});

test("enrol() asks again where the way to the host that was to answer is cut", async () => {
  await using cluster = await lab();
  const token = await cluster.token({ once: true });
  await using door = slamming(cluster.port.number, 0);
  const there = { ...token, port: door.port };
  const host = { nodeId: "n1", dataDir: cluster.host() };
  cluster.cuts.push(door.cut, door.cut);
  await refuses(enrol(there, host), /^Cannot hear what the other host answers: /, 1);
  await enrol(there, { ...host, busy: 30_000 });
  assert.equal(cluster.asked, 3);
});

test("enrol() goes on with the token's next host where one hangs up each time it is to answer", async () => {
  await using cluster = await lab();
  const token = await cluster.token({ once: true });
  const { number: port } = cluster.port;
  const where = { hostname: "127.0.0.2", port };
  await using door = slamming(port, 0, where);
  cluster.cuts.push(door.cut);
  const host = { nodeId: "n1", dataDir: cluster.host() };
  await enrol({ ...token, addresses: [where.hostname, HERE] }, host);
  assert.equal(cluster.asked, 2);
  // A stranger at one address is no reason not to ask again at the other.
  await using stranger = slamming(port, 1000, { hostname: "127.0.0.3", port });
  cluster.cuts.push(door.cut);
  const addresses = ["127.0.0.3", where.hostname];
  const other = { nodeId: "n2", dataDir: cluster.host(), busy: 30_000 };
  const more = await cluster.token();
  await enrol({ ...more, addresses }, other);
  assert.equal(cluster.asked, 4);
  assert.ok(stranger.port > 0);
});

test("StoreAuthority.join() gives no id to a second host, until the first is revoked", async () => {
  await using cluster = await lab();
  const token = await cluster.token();
  const first = await enrol(token, { nodeId: "n1", dataDir: cluster.host() });
  await refuses(
    enrol(token, { nodeId: "n1", dataDir: cluster.host() }),
    /a host with this id belongs to the cluster already/,
  );
  assert.equal(await cluster.store.revoke("n1"), "node");
  const { serial } = peerOf(first.credentials.certificate);
  assert.deepEqual(await cluster.store.revoked(), [serial]);
  const second = await enrol(token, { nodeId: "n1", dataDir: cluster.host() });
  assert.notEqual(peerOf(second.credentials.certificate).serial, serial);
  // What was revoked renews nothing.
  const { publicKey } = await makeKeys();
  const node = { nodeId: "n1", role: "node", publicKey };
  await refuses(cluster.store.renew({ ...node, before: serial }, certifier), /it was revoked/);
  await refuses(cluster.store.revoke("nobody"), /no token/);
});

test("StoreAuthority.renew() keeps the role that the store knows, whatever is asked for", async () => {
  await using cluster = await lab();
  const { credentials } = await enrol(await cluster.token(), {
    nodeId: "n1",
    dataDir: cluster.host(),
  });
  const { publicKey } = await makeKeys();
  const before = peerOf(credentials.certificate).serial;
  const made = await cluster.store.renew(
    { nodeId: "n1", role: "admin", publicKey, before },
    certifier,
  );
  assert.equal(peerOf(made.certificate).role, "node");
  await refuses(
    cluster.store.renew({ nodeId: "n2", role: "node", publicKey, before }, certifier),
    /revoked/,
  );
});

test("StoreAuthority.begin() keeps the authority that is there", async () => {
  await using cluster = await lab();
  const kept = await cluster.store.begin(await makeAuthority());
  assert.deepEqual(kept, cluster.authority);
});

test("enrol() of fifty hosts at one moment by one token", async () => {
  await using cluster = await lab();
  const token = await cluster.token();
  const all = await Promise.all(
    Array.from(
      { length: 50 },
      (_, index) =>
        enrol(token, { nodeId: `n${index}`, dataDir: cluster.host(), patience: 20_000 }),
    ),
  );
  const serials = new Set(all.map(({ credentials }) => peerOf(credentials.certificate).serial));
  assert.equal(serials.size, 50);
  assert.equal((await cluster.store.tokens())[0]!.used, 50);
});
