import assert from "node:assert/strict";
import { libc, SystemError } from "./libc.ts";
import {
  beginConnection,
  connectionError,
  connectionsDecided,
  endConnection,
  socketAddress,
} from "./tcp.ts";

// Opens the C library, which stays open, outside of any test.
libc();
connectionsDecided([]);

/** The errno's name of an attempt; undefined if it succeeded. */
async function attempt(hostname: string, port: number): Promise<string | undefined> {
  let fd: number;
  try {
    fd = beginConnection(socketAddress(hostname, port));
  } catch (error) {
    assert.ok(error instanceof SystemError);
    return error.code;
  }
  try {
    const deadline = performance.now() + 10_000;
    while (!connectionsDecided([fd]).includes(fd)) {
      if (performance.now() > deadline) throw new Error("not decided in 10 s");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return connectionError(fd)?.code;
  } finally {
    endConnection(fd);
  }
}

Deno.test("socketAddress() writes a sockaddr of either family", () => {
  assert.deepEqual([...socketAddress("10.1.2.3", 0x1234)], [
    ...[2, 0, 0x12, 0x34, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
  const six = socketAddress("fd00::1", 80);
  assert.deepEqual([six.length, six[0], six[3], six[8], six[23]], [28, 10, 80, 0xfd, 1]);
});

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`beginConnection() connects to ${hostname}, ends in order, and tells refusals`, async () => {
    const listener = Deno.listen({ hostname, port: 0 });
    const { port } = listener.addr;
    assert.equal(await attempt(hostname, port), undefined);
    const accepted = await listener.accept();
    assert.equal(await accepted.read(new Uint8Array(1)), null);
    accepted.close();
    listener.close();
    assert.equal(await attempt(hostname, port), "ECONNREFUSED");
  });
}
