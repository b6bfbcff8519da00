import assert from "node:assert/strict";
import { capabilities, missingCapabilities, parseCapabilities } from "./privilege.ts";

const NONE = "CapEff:\t0000000000000000\n";
const ADMIN = "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000001000\nCapBnd:\t000001ffffffffff\n";

Deno.test("parseCapabilities() reads the effective set and no other", () => {
  assert.deepEqual(parseCapabilities(ADMIN), {
    dacOverride: false,
    netBindService: false,
    netAdmin: true,
    netRaw: false,
    sysModule: false,
    sysPtrace: false,
    sysAdmin: false,
  });
  assert.ok(Object.values(parseCapabilities("CapEff: 000001ffffffffff")).every(Boolean));
  assert.throws(() => parseCapabilities("Name: x"), SyntaxError);
});

Deno.test("missingCapabilities() names what is missing as manuals do", () => {
  assert.deepEqual(missingCapabilities(["netAdmin", "sysAdmin"], parseCapabilities(ADMIN)), [
    "CAP_SYS_ADMIN",
  ]);
  assert.deepEqual(missingCapabilities(["netAdmin", "netBindService"], parseCapabilities(NONE)), [
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
  ]);
  assert.deepEqual(missingCapabilities([], parseCapabilities(NONE)), []);
});

Deno.test("capabilities() agrees with the kernel", () => {
  const hex = Deno.readTextFileSync("/proc/self/status").match(/CapEff:\s*(\S+)/)![1];
  assert.equal(capabilities().netAdmin, (BigInt(`0x${hex}`) >> 12n & 1n) === 1n);
});
