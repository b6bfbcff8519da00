import assert from "node:assert/strict";
import { libc, SystemError } from "./libc.ts";
import { IPPROTO_TCP, TCP_USER_TIMEOUT } from "./linux/socket.ts";
import {
  beginConnection,
  boundSilence,
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

/** TCP_USER_TIMEOUT of all of this process's sockets, where it is not 0. */
function bounds(): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const value = new Uint8Array(4);
    const length = new Uint8Array(new Uint32Array([4]).buffer);
    if (libc().getsockopt(Number(name), IPPROTO_TCP, TCP_USER_TIMEOUT, value, length) !== 0) {
      continue;
    }
    const milliseconds = new DataView(value.buffer).getInt32(0, true);
    if (milliseconds !== 0) found.push(milliseconds);
  }
  return found.sort();
}

for (const hostname of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
  Deno.test(`boundSilence() finds either end of one of several connections to ${hostname}`, async () => {
    using listener = Deno.listen({ hostname: hostname === "::1" ? "::1" : "::", port: 0 });
    const { port } = listener.addr;
    const dialled = [], accepted = [];
    for (let count = 0; count < 3; count++) {
      dialled.push(await Deno.connect({ hostname, port }));
      accepted.push(await listener.accept());
    }
    const silence = { idle: 11, interval: 3, questions: 4 };
    assert.ok(boundSilence(dialled[1]!, { ...silence, unanswered: 3456 }));
    assert.ok(boundSilence(accepted[2]!, { ...silence, unanswered: 4567 }));
    assert.deepEqual(bounds(), [3456, 4567]);
    dialled[1]!.close();
    assert.deepEqual(bounds(), [4567]);
    accepted[2]!.close();
    assert.deepEqual(bounds(), []);
    const { localAddr, remoteAddr } = dialled[1]!;
    assert.ok(!boundSilence({ localAddr, remoteAddr }, silence));
    for (const one of [dialled[0]!, dialled[2]!, accepted[0]!, accepted[1]!]) one.close();
  });
}
