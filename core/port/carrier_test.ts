/**
 * Hosts of a cluster by their ports, with a store that some of them reach.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasLibrary } from "../../ffi/load.ts";
import { sleep } from "../base/clock.ts";
import { type ByteStream, readFull, writeAll } from "../store/dqlite/stream.ts";
import { openStore, openStoreAuthority } from "../store/open.ts";
import type { StoreAuthority } from "../store/authority.ts";
import { certify, fingerprint, makeKeys, type Peer, peerOf } from "./certificates.ts";
import { type CarrierOptions, clusterCarrier } from "./carrier.ts";
import { joinByToken } from "./joining.ts";
import { readCredentials, writeCredentials } from "./node_files.ts";
import { makeSecret, type Token } from "./token.ts";

const ignore = !hasLibrary("libssl.so.3");
const HOUR = 3_600_000;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function until(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !await met(); tries++) {
    assert.ok(tries < 200, `not in time: ${what}`);
    await sleep(50);
  }
}

/** A cluster whose hosts are this host's ports. */
async function lab() {
  const folder = Deno.makeTempDirSync({ prefix: "knet-carrier-" });
  const stack = new AsyncDisposableStack();
  stack.defer(() => Deno.removeSync(folder, { recursive: true }));
  const storeUrl = `sqlite:${folder}/knet.db`;
  {
    await using store = await openStore(storeUrl);
    await store.getConfig();
  }
  const problems: string[] = [];
  const dataDirOf = (nodeId: string) => `${folder}/${nodeId}`;
  const start = async (
    nodeId: string,
    more: Partial<CarrierOptions> = {},
    holders: () => readonly string[] = () => [nodeId],
  ) => {
    const port = more.port ?? freePort();
    const heard: string[] = [];
    const serve = async (stream: ByteStream, who: string) => {
      heard.push(who);
      const bytes = new Uint8Array(2);
      while (await readFull(stream, bytes)) await writeAll(stream, bytes);
    };
    const made = clusterCarrier({
      dataDir: dataDirOf(nodeId),
      storeUrl,
      port,
      tick: 200,
      onProblem: (sentence) => problems.push(sentence),
      ...more,
    });
    const carrier = stack.use(
      await made.start({
        nodeId,
        addressesOf: () => [],
        holders,
        servers: {
          replica: (stream, other) => serve(stream, `replica ${other}`),
          store: (stream, peer: Peer) => serve(stream, `store ${peer.nodeId} ${peer.role}`),
        },
      }),
    );
    return { carrier, port, heard, seeds: made.seeds, dataDir: dataDirOf(nodeId) };
  };
  const authority: StoreAuthority = stack.use(await openStoreAuthority(storeUrl));
  return {
    ...{ start, authority, problems, dataDirOf },
    /** A token by which hosts join at a port. */
    token: async (port: number): Promise<Token> => {
      await until(
        "the authority is in the store",
        async () => await authority.authority() !== undefined,
      );
      const { id, secret } = makeSecret();
      await authority.addToken({ id, secret, role: "node", once: false, life: HOUR });
      const { certificate } = (await authority.authority())!;
      const print = fingerprint(certificate);
      return { authority: print, id, secret, port, addresses: ["127.0.0.1"] };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function speak(stream: ByteStream): Promise<void> {
  await writeAll(stream, new Uint8Array([1, 2]));
  assert.ok(await readFull(stream, new Uint8Array(2)));
}

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, ignore, fn });

test("ClusterCarrier of the first host begins the cluster, and its authority goes into the store", async () => {
  await using cluster = await lab();
  const first = await cluster.start("first");
  assert.deepEqual(first.seeds, []);
  await until(
    "the authority is in the store",
    async () => await cluster.authority.authority() !== undefined,
  );
  await until("and not on the host", () => {
    try {
      Deno.statSync(`${first.dataDir}/authority.pem`);
      return false;
    } catch {
      return true;
    }
  });
  const [own] = await cluster.authority.certificates();
  const { nodeId, role, serial } = peerOf(readCredentials(first.dataDir)!.certificate);
  assert.deepEqual([own!.nodeId, own!.role, own!.serial], [nodeId, role, serial]);
  assert.equal(role, "admin");
});

test("ClusterCarrier begins no cluster on a host that has asked to join one and was ended before it had an answer", async () => {
  await using cluster = await lab();
  const { writeAskingKeys } = await import("./node_files.ts");
  const { makeKeys } = await import("./certificates.ts");
  const dataDir = cluster.dataDirOf("first");
  writeAskingKeys(dataDir, await makeKeys());
  await assert.rejects(cluster.start("first"), { message: /has asked to join one/, exitCode: 4 });
  assert.equal(readCredentials(dataDir), undefined);
  writeAskingKeys(dataDir, undefined);
  await cluster.start("first");
});

test("ClusterCarrier carries replica and store between hosts that joined by a token, and finds third ones", async () => {
  await using cluster = await lab();
  const first = await cluster.start("first");
  const token = await cluster.token(first.port);
  for (const nodeId of ["second", "third"]) {
    const host = { nodeId, dataDir: cluster.dataDirOf(nodeId) };
    assert.deepEqual(await joinByToken(token, host), { state: "joined" });
    assert.deepEqual(await joinByToken(token, host), { state: "known" });
  }
  // Ports differ here, which they do not from host to host: who comes is taken to have the port that all have.
  const second = await cluster.start("second");
  assert.deepEqual(second.seeds, ["first"]);
  const stream = await second.carrier.dial("first", "replica");
  await speak(stream);
  const other = await second.carrier.dial("first", "store");
  await speak(other);
  assert.deepEqual(first.heard, ["replica second", "store second node"]);
  await until(
    "the first has met the second",
    () => first.carrier.hosts.some(({ nodeId }) => nodeId === "second"),
  );
  const third = await cluster.start("third");
  await until(
    "the third was told of the second",
    () => third.carrier.hosts.some(({ nodeId }) => nodeId === "second"),
  );
  stream.close();
  other.close();
});

test("ClusterCarrier cuts a revoked node off, everywhere, and a token lets it in again", async () => {
  await using cluster = await lab();
  const first = await cluster.start("first");
  const token = await cluster.token(first.port);
  const host = { nodeId: "second", dataDir: cluster.dataDirOf("second") };
  await joinByToken(token, host);
  const second = await cluster.start("second");
  const stream = await second.carrier.dial("first", "replica");
  await speak(stream);
  await cluster.authority.revoke("second");
  await assert.rejects(async () => {
    if (await stream.read(new Uint8Array(1)) === null) throw new Error("ended");
  });
  await assert.rejects(second.carrier.dial("first", "replica"), /revoked/);
  stream.close();
  assert.deepEqual(await joinByToken(token, host), { state: "again" });
  const again = await cluster.start("second");
  await speak(await again.carrier.dial("first", "replica"));
});

test("ClusterCarrier without a copy of the store passes on who wants to join, renews, and hears who was revoked", async () => {
  await using cluster = await lab();
  const first = await cluster.start("first");
  const token = await cluster.token(first.port);
  const dataDir = cluster.dataDirOf("second");
  await joinByToken(token, { nodeId: "second", dataDir });
  // Near its end: it is renewed at once, by a host that has the store.
  const { key, publicKey } = await makeKeys();
  const record = (await cluster.authority.authority())!;
  const old = await cluster.authority.renew(
    { nodeId: "second", role: "node", publicKey },
    (_, node) => {
      const certificate = certify(record, { ...node, role: "node" }, HOUR);
      const { serial, notAfter } = peerOf(certificate);
      return { certificate, serial, expires: notAfter };
    },
  );
  writeCredentials(dataDir, { authority: record.certificate, certificate: old.certificate, key });
  const second = await cluster.start(
    "second",
    { storeUrl: `sqlite:${dataDir}/none.db` },
    () => ["first"],
  );
  await until("the certificate is renewed", () => {
    const { notAfter } = peerOf(readCredentials(dataDir)!.certificate);
    return notAfter > Date.now() + 24 * HOUR;
  });
  const third = { nodeId: "third", dataDir: cluster.dataDirOf("third") };
  const there = { ...token, port: second.port };
  assert.deepEqual(await joinByToken(there, third), { state: "joined" });
  await assert.rejects(
    joinByToken({ ...there, secret: new Uint8Array(16) }, {
      nodeId: "fourth",
      dataDir: cluster.dataDirOf("fourth"),
    }),
    /does not know it/,
  );
  const revoked = peerOf(readCredentials(third.dataDir)!.certificate).serial;
  await cluster.authority.revoke("third");
  await until("the second has heard of it", () => {
    try {
      return Deno.readTextFileSync(`${dataDir}/revoked.json`).includes(revoked);
    } catch {
      return false;
    }
  });
});

test("joinByToken() leaves a host of another cluster as it is", async () => {
  await using one = await lab();
  await using other = await lab();
  const [a, b] = [await one.start("first"), await other.start("first")];
  const host = { nodeId: "second", dataDir: one.dataDirOf("second") };
  await joinByToken(await one.token(a.port), host);
  const before = readCredentials(host.dataDir);
  await assert.rejects(joinByToken(await other.token(b.port), host), /another cluster/);
  assert.deepEqual(readCredentials(host.dataDir), before);
  await assert.rejects(
    one.start("third").then(() => one.start("nobody", { dataDir: host.dataDir })),
    /certificate is of the node second/,
  );
});

test("joinByToken() takes a host that has left its cluster into another one", async () => {
  await using one = await lab();
  await using other = await lab();
  const [a, b] = [await one.start("first"), await other.start("first")];
  const host = { nodeId: "second", dataDir: one.dataDirOf("second"), left: true };
  await joinByToken(await one.token(a.port), host);
  const before = readCredentials(host.dataDir)!;
  // Into that one it comes back as who it was.
  assert.deepEqual(await joinByToken(await one.token(a.port), host), { state: "known" });
  assert.deepEqual(await joinByToken(await other.token(b.port), host), { state: "joined" });
  assert.notDeepEqual(readCredentials(host.dataDir)!.authority, before.authority);
});
