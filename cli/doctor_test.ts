import assert from "node:assert/strict";
import { doctorText } from "./doctor.ts";

Deno.test("doctorText() shows every check, and remedies below what is wrong", () => {
  const text = doctorText({
    checks: [
      { check: "libraries", status: "ok", detail: "libnl 3.7", remedy: "never shown" },
      { check: "forwarding", status: "warn", detail: "FORWARD drops", remedy: "knet adds a rule" },
      { check: "VNI", status: "fail", detail: "flannel.1 has it", remedy: "Choose another" },
      { check: "store", status: "skip", detail: "no root" },
    ],
  });
  assert.deepEqual(text.split("\n"), [
    "ok    libraries: libnl 3.7",
    "warn  forwarding: FORWARD drops",
    "      knet adds a rule",
    "FAIL  VNI: flannel.1 has it",
    "      Choose another",
    "skip  store: no root",
    "",
    "1 of 4 checks failed",
  ]);
});

Deno.test("doctorText() ends with a verdict", () => {
  const ok = { check: "a", status: "ok", detail: "b" } as const;
  assert.match(doctorText({ checks: [ok] }), /knet can work here$/);
  assert.match(
    doctorText({ checks: [ok, { ...ok, status: "warn" }] }),
    /knet can work here; 1 of 2 checks warn$/,
  );
});
