import assert from "node:assert/strict";
import { architecture, ownArchitecture, programPath } from "./architectures.ts";
import { launcher } from "./runtime_folder.ts";

Deno.test("architecture() knows a processor by everybody's names for it", () => {
  for (const name of ["arm64", "aarch64", "aarch64-unknown-linux-gnu"]) {
    assert.equal(architecture(name), "arm64");
  }
  assert.equal(architecture("x86_64"), "amd64");
  assert.throws(() => architecture("riscv64"), /"riscv64": give amd64 or arm64/);
});

Deno.test("programPath() keeps programs for other machines apart", () => {
  const other = ownArchitecture() === "arm64" ? "amd64" : "arm64";
  assert.equal(programPath(ownArchitecture()), "dist/knet");
  assert.equal(programPath(other), `dist/knet-${other}`);
});

Deno.test("launcher() gives the bundle what a compiled program may do, and no code from elsewhere", () => {
  const script = launcher("bundle/main.js", ["--allow-ffi", "--no-prompt"]);
  for (
    const flag of ["--allow-ffi", "--no-prompt", "--deny-import", "--no-remote", "--no-config"]
  ) {
    assert.ok(script.includes(` ${flag} `), flag);
  }
  assert.match(script, /"\$lib\/bundle\/main\.js" "\$@"\n$/);
  // The plugin that `knet install cni` places calls the script, not the runtime with all rights.
  assert.match(script, /^export KNET_LAUNCHER=\$here /m);
  assert.doesNotMatch(script, /--allow-(all|run|sys )|-A\b/);
});
