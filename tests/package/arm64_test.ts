/**
 * The program for arm64, made on another machine and run by an emulator of the processor.
 *
 * @module
 */
import assert from "node:assert/strict";
import { VERSION } from "../../cli/version.ts";
import { compile } from "../../dist/compile.ts";
import { contentsOf } from "../../dist/package/contents.ts";
import { compiledProduct } from "../../dist/package.ts";
import { exec } from "../support/exec.ts";
import { skip } from "../support/skip.ts";
import { isInstalled } from "./product.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PROGRAM = `${ROOT}dist/knet-arm64`;

/** The processor's emulator, and where the libraries for it are. */
const QEMU = "qemu-aarch64-static";
const QEMU_ENV = { QEMU_LD_PREFIX: "/usr/aarch64-linux-gnu" };

Deno.test("compile() for arm64 makes a program that starts there, and a package has all of it", async () => {
  const name = "compile() for arm64";
  if (Deno.build.arch !== "x86_64") return skip(name, "needs another processor than arm64");
  assert.equal(await compile("dist/knet-arm64", "arm64"), 0);
  const product = compiledProduct("arm64");
  const bom = JSON.parse(product.bom) as { components: { name: string; version: string }[] };
  assert.match(bom.components.find(({ name }) => name === "deno")!.version, /^2\./);
  // Libraries of this machine's processor would be of no use there.
  assert.deepEqual(bom.components.filter(({ name }) => name.startsWith("libnl")), []);
  const paths = (await contentsOf("deb", product)).map(({ path }) => path);
  assert.ok(paths.includes("/usr/bin/knet"));

  if (!isInstalled(QEMU)) return skip(name, `needs ${QEMU}`);
  const libraries = ["libc.so.6", "libgcc_s.so.1"].map((file) =>
    Deno.stat(`${QEMU_ENV.QEMU_LD_PREFIX}/lib/${file}`)
  );
  if ((await Promise.allSettled(libraries)).some(({ status }) => status === "rejected")) {
    return skip(name, "needs libc6-arm64-cross and libgcc-s1-arm64-cross");
  }
  const version = Deno.statSync(PROGRAM).isFile
    ? await exec([QEMU, PROGRAM, "--version"], { env: QEMU_ENV })
    : await runFolder(paths);
  assert.equal(version.stdout, `knet ${VERSION}\n`);
});

/** The script starts the runtime by itself: a copy, in which the runtime's place is taken by the emulator. */
async function runFolder(paths: readonly string[]) {
  for (const file of ["deno", "bundle/main.js", "bundle/sqlite_worker.js", "dist/LICENSES"]) {
    assert.ok(paths.includes(`/usr/lib/knet/${file}`), file);
  }
  const folder = await Deno.makeTempDir({ prefix: "knet-arm64-" });
  try {
    await exec(["cp", "-rs", `${PROGRAM}/.`, folder]);
    // The script finds its own place through links: it has to be a file here.
    await Deno.remove(`${folder}/bin/knet`);
    await Deno.copyFile(`${PROGRAM}/bin/knet`, `${folder}/bin/knet`);
    const runtime = `${folder}/lib/knet/deno`;
    await Deno.remove(runtime);
    await Deno.writeTextFile(
      runtime,
      `#!/bin/sh\nexec ${QEMU} ${PROGRAM}/lib/knet/deno "$@"\n`,
      { mode: 0o755 },
    );
    await Deno.symlink(`${folder}/bin/knet`, `${folder}/link`);
    return await exec([`${folder}/link`, "--version"], { env: QEMU_ENV });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
