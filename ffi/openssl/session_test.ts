/**
 * Two sessions that talk through memory.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasLibrary } from "../load.ts";
import { isP256Key, makeCertificate, readCertificate } from "./certificate.ts";
import { OpensslError } from "./openssl.ts";
import { TlsContext, type TlsIdentity, type TlsSession } from "./session.ts";

const ignore = !hasLibrary("libssl.so.3");
const HOUR = 3_600_000;

async function keys() {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  return {
    publicKey: new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)),
    key: new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)),
  };
}

async function authority() {
  const { publicKey, key } = await keys();
  const certificate = makeCertificate({
    subject: { commonName: "the authority", organization: "knet" },
    publicKey,
    notBefore: Date.now() - HOUR,
    notAfter: Date.now() + HOUR,
    signer: { key },
  });
  return { key, certificate };
}

async function member(
  signer: Awaited<ReturnType<typeof authority>>,
  commonName: string,
  notAfter = Date.now() + HOUR,
): Promise<TlsIdentity> {
  const { publicKey, key } = await keys();
  const certificate = makeCertificate({
    subject: { commonName, organization: "knet", organizationalUnit: "node" },
    publicKey,
    notBefore: Date.now() - 2 * HOUR,
    notAfter,
    signer,
  });
  return { authority: signer.certificate, own: { certificate, key } };
}

/** Lets both do what they can; errors come from whoever meets them first. */
function shakeHands(server: TlsSession, client: TlsSession): void {
  for (let round = 0; round < 4; round++) {
    for (const [one, other] of [[client, server], [server, client]] as const) {
      try {
        one.handshake();
      } finally {
        for (let piece; (piece = one.take()) !== undefined;) other.feed(piece);
      }
    }
  }
}

function begin(server: TlsIdentity, client: TlsIdentity) {
  using atServer = new TlsContext(server);
  using atClient = new TlsContext(client);
  const sessions = { server: atServer.session("server"), client: atClient.session("client") };
  return {
    ...sessions,
    [Symbol.dispose]() {
      sessions.server[Symbol.dispose]();
      sessions.client[Symbol.dispose]();
    },
  };
}

Deno.test({
  name:
    "TlsSession carries bytes between two that are certified by one authority, and tells the end",
  ignore,
  async fn() {
    const root = await authority();
    using both = begin(await member(root, "server"), await member(root, "client"));
    shakeHands(both.server, both.client);
    const facts = readCertificate(both.server.peerCertificate()!);
    assert.equal(facts.commonName, "client");
    assert.equal(facts.organizationalUnit, "node");
    assert.ok(Math.abs(facts.notAfter - (Date.now() + HOUR)) < 60_000);
    assert.equal(both.client.sentCertificates().length, 2);
    assert.equal(both.client.write(new TextEncoder().encode("hello")), 5);
    both.client.finish();
    for (let piece; (piece = both.client.take()) !== undefined;) both.server.feed(piece);
    const into = new Uint8Array(100);
    assert.equal(both.server.read(into), 5);
    assert.equal(new TextDecoder().decode(into.subarray(0, 5)), "hello");
    assert.equal(both.server.read(into), "end");
  },
});

Deno.test({
  name: "TlsSession believes neither another authority's certificate nor one whose time is over",
  ignore,
  async fn() {
    const [root, other] = [await authority(), await authority()];
    const server = await member(root, "server");
    for (
      const [bad, fault] of [
        [await member(other, "client"), /signature failure/],
        [await member(root, "client", Date.now() - HOUR), /expired/],
      ] as const
    ) {
      // As the client that is refused, and as the server that is not believed.
      const client = { ...bad, authority: root.certificate };
      {
        using both = begin(server, client);
        assert.throws(() => shakeHands(both.server, both.client), OpensslError);
        assert.match(both.server.fault() ?? "", fault);
      }
      using both = begin({ ...bad, authority: other.certificate }, server);
      assert.throws(() => shakeHands(both.server, both.client), OpensslError);
      assert.match(both.client.fault() ?? "", fault);
    }
  },
});

Deno.test({
  name: "TlsSession refuses what is no TLS",
  ignore,
  async fn() {
    const root = await authority();
    using context = new TlsContext(await member(root, "server"));
    using session = context.session("server");
    session.feed(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: knet\r\n\r\n"));
    assert.throws(() => session.handshake(), OpensslError);
  },
});

Deno.test({
  name: "makeCertificate(), readCertificate() and TlsContext take no bytes that are something else",
  ignore,
  async fn() {
    const root = await authority();
    const { certificate } = root;
    assert.throws(() => readCertificate(certificate.slice(0, -1)), OpensslError);
    assert.throws(() => readCertificate(new Uint8Array([...certificate, 0])), OpensslError);
    assert.throws(() => readCertificate(new Uint8Array(0)), OpensslError);
    const [one, two] = [await keys(), await keys()];
    assert.ok(isP256Key(one.publicKey));
    assert.equal(isP256Key(one.publicKey.subarray(1)), false);
    const own = (await member(root, "node")).own!;
    assert.throws(() => new TlsContext({ own: { ...own, key: two.key } }), OpensslError);
  },
});
