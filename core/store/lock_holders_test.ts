import assert from "node:assert/strict";
import { holdersOf, progressOf, workOf } from "./lock_holders.ts";

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

Deno.test("workOf() reads state and time, whatever the process is called", () => {
  assert.deepEqual(workOf("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 21 4 0 0 20"), {
    state: "S",
    ticks: 25,
  });
});

Deno.test("progressOf() tells a holder that works from one that sleeps or is stopped", () => {
  const stat = (state: string, ticks: number) =>
    `1 (knet) ${state} 1 1 1 0 0 0 0 0 0 0 ${ticks} 0 0 0`;
  const look = (state: string, ticks: number) =>
    progressOf(99771, (path) => path === "/proc/locks" ? LOCKS : stat(state, ticks));
  assert.deepEqual(look("S", 5), look("S", 5));
  assert.notEqual(look("S", 5).text, look("S", 6).text);
  assert.equal(look("T", 5).running, false);
  assert.equal(look("R", 5).running, true);
  assert.deepEqual(progressOf(1, () => undefined), { text: ":", running: false });
});
