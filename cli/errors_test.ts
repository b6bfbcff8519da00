import assert from "node:assert/strict";
import { KnetError } from "../core/base/error.ts";
import { reportOf, UsageError } from "./errors.ts";

Deno.test("reportOf() keeps what a KnetError says", () => {
  const error = new KnetError("Cannot join: held", { exitCode: 4, remedy: "Wait" });
  assert.deepEqual(reportOf(error), { message: "Cannot join: held", remedy: "Wait", exitCode: 4 });
  assert.equal(reportOf(new UsageError("Cannot", "knet join")).exitCode, 2);
});

Deno.test("reportOf() judges what the kernel and the libraries say", () => {
  const kernel = (code: string) => Object.assign(new Error(`Cannot add link: ${code}`), { code });
  assert.equal(reportOf(kernel("EPERM")).exitCode, 3);
  assert.match(reportOf(kernel("EPERM")).remedy ?? "", /CAP_NET_ADMIN/);
  assert.equal(reportOf(kernel("EOPNOTSUPP")).exitCode, 3);
  assert.equal(reportOf(kernel("EEXIST")).exitCode, 1);
  const missing = Object.assign(new Error("Cannot load libnl"), {
    name: "MissingLibraryError",
    remedy: "apt install libnl-3-200",
  });
  assert.deepEqual(reportOf(missing), {
    message: "Cannot load libnl",
    remedy: "apt install libnl-3-200",
    exitCode: 3,
  });
  assert.equal(reportOf("a string").message, "a string");
});
