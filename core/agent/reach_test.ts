import assert from "node:assert/strict";
import { readReachAddress } from "./reach.ts";

Deno.test("readReachAddress() reads addresses of both families, with a port and without", () => {
  assert.deepEqual(readReachAddress("192.0.2.7"), { address: "192.0.2.7" });
  assert.deepEqual(readReachAddress("192.0.2.7:99"), { address: "192.0.2.7", port: 99 });
  assert.deepEqual(readReachAddress("2001:DB8:0::7"), { address: "2001:db8::7" });
  assert.deepEqual(readReachAddress("[2001:db8::7]:99"), { address: "2001:db8::7", port: 99 });
  assert.deepEqual(readReachAddress("[2001:db8::7]"), { address: "2001:db8::7" });
});

Deno.test("readReachAddress() takes nothing else", () => {
  for (
    const word of [
      ...["", "host-2", "192.0.2", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:", "192.0.2.0/24"],
      ...["[192.0.2.7", "::1:99999:1:1:1:1:1:1", "a:b", "[]:1", "knet1.q83v"],
    ]
  ) assert.throws(() => readReachAddress(word), SyntaxError, word);
});
