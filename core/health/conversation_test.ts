import assert from "node:assert/strict";
import { join } from "node:path";
import { type Answer, authority, bytes, look, serve } from "../../tests/support/checked_servers.ts";
import { PASSED } from "./probe.ts";

Deno.test("converse() verifies by TLS the name that is asked for, or the address, or nothing", async () => {
  const folder = await Deno.makeTempDir();
  await authority(folder);
  const tls = (name: string, answer: Answer) =>
    serve(
      Deno.listenTls({
        ...{ hostname: "127.0.0.1", port: 0 },
        cert: Deno.readTextFileSync(join(folder, `${name}.pem`)),
        key: Deno.readTextFileSync(join(folder, `${name}.key`)),
      }),
      answer,
    );
  let request = "";
  const answer: Answer = async (connection, text) => {
    request = text;
    await connection.write(bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n+PONG"));
  };
  try {
    await using name = tls("name", answer);
    await using address = tls("address", answer);
    await using old = tls("old", answer);
    await using own = tls("ca", answer);
    const ca = `ca=${join(folder, "ca.pem")}`;
    const good = [
      [`https:/ sni=web.example ${ca}`, name],
      [`https:/ host=web.example:8443 ${ca}`, name],
      [`https:/ sni=web.example body=PONG ${ca}`, name],
      [`tcp tls sni=web.example ${ca}`, name],
      [`tcp tls sni=web.example send=x expect=+PONG ${ca}`, name],
      [`https:/ ${ca}`, address],
      [`https:/ host=127.0.0.1 ${ca}`, address],
      [`tcp tls ${ca}`, address],
      ...[name, address, old].flatMap((server) =>
        ["https:/", "https:/ sni=other.example", "tcp tls", "tcp tls sni=a send=x expect=PONG"]
          .map((text) => [`${text} verify=no`, server] as const)
      ),
    ] as const;
    for (const [text, { port }] of good) assert.deepEqual(await look(text, port), PASSED, text);
    await look(`https:/ sni=web.example ${ca}`, name.port);
    assert.match(request, /^Host: web\.example\r$/m);
    await look(`https:/ host=web.example:8443 ${ca}`, name.port);
    assert.match(request, /^Host: web\.example:8443\r$/m);
    const bad = [
      [`https:/ sni=other.example ${ca}`, name, /not valid for name/],
      [`https:/ host=other.example ${ca}`, name, /not valid for name/],
      [`https:/ ${ca}`, name, /not valid for name/],
      [`https:/ sni=web.example ${ca}`, address, /not valid for name/],
      [`tcp tls sni=other.example ${ca}`, name, /not valid for name/],
      [`tcp tls sni=other.example send=x expect=PONG ${ca}`, name, /not valid for name/],
      ["https:/ sni=web.example", name, /UnknownIssuer/],
      ["tcp tls sni=web.example", name, /UnknownIssuer/],
      ["tcp tls sni=web.example send=x expect=PONG", name, /UnknownIssuer/],
      [`https:/ sni=web.example ${ca}`, old, /expired/i],
      [`https:/ sni=web.example ${ca}`, own, /it is an authority's own/],
      [`tcp tls ${ca}`, old, /expired/i],
    ] as const;
    for (const [text, { port }, message] of bad) {
      request = "";
      const { passed, detail } = await look(text, port);
      assert.equal(passed, false, text);
      assert.match(detail, message, text);
      assert.ok(detail.length <= 200);
      assert.equal(request, "", `${text} said something before it knew to whom`);
    }
    // What this host lacks says nothing of the real server.
    await new Deno.Command("mkfifo", { args: [join(folder, "pipe")] }).output();
    await Deno.writeTextFile(join(folder, "empty.pem"), "");
    await Deno.writeFile(join(folder, "large.pem"), new Uint8Array(1024 * 1024 + 1));
    for (
      const [file, message] of [
        ["none.pem", /has no file/],
        ["pipe", /no plain file/],
        ["", /no plain file/],
        ["empty.pem", /no certificate/],
        ["large.pem", /larger than 1048576/],
        ["../../dev/zero", /no plain file/],
      ] as const
    ) {
      const { passed, detail } = await look(`https:/ ca=${join(folder, file)}`, name.port);
      assert.equal(passed, undefined);
      assert.match(detail, message);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
