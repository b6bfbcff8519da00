import assert from "node:assert/strict";
import { holdersOf } from "./lock_holders.ts";

const LOCKS = `1: POSIX  ADVISORY  WRITE 1234 fd:01:9977 1073741824 1073742335
1: -> POSIX  ADVISORY  WRITE 99 fd:01:9977 1073741824 1073742335
2: POSIX  ADVISORY  READ  77 fd:01:9977 1073741826 1073742335
3: FLOCK  ADVISORY  WRITE 55 fd:01:9977 0 EOF
4: POSIX  ADVISORY  WRITE 11 fd:01:99771 0 EOF
5: OFDLCK ADVISORY  WRITE -1 00:05:9977 0 EOF
`;

Deno.test("holdersOf() names who holds a file's lock, not who waits for it", () => {
  assert.deepEqual(holdersOf(LOCKS, 9977), [77, 1234]);
  assert.deepEqual(holdersOf("", 9977), []);
});
