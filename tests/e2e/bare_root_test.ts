/**
 * Acceptance 9: the binary alone is enough, without libnl, without Deno, with /tmp mounted noexec.
 *
 * @module
 */
import assert from "node:assert/strict";
import { libraryPath, makeBareRoot } from "../support/bare_root.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import { STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { converged } from "../support/walk.ts";

const binary = Deno.env.get("KNET_BIN") ?? new URL("../../dist/knet", import.meta.url).pathname;

function missing(): boolean {
  try {
    return !Deno.statSync(binary).isFile;
  } catch {
    return true;
  }
}

for (const store of STORES) {
  if (missing()) {
    const name = `9 (${store}): the binary works on a bare root file system`;
    Deno.test({ name: `${name} [skipped: there is no dist/knet]`, ignore: true, fn: () => {} });
    continue;
  }
  const test = labSuite({
    hosts: 0,
    store,
    setUp: async (lab) => {
      const nftables = await libraryPath("libnftables.so.1");
      for (let n = 1; n <= 2; n++) {
        const root = `${lab.directory}/root${n}`;
        await makeBareRoot(root, binary, nftables === undefined ? [] : [nftables]);
        await lab.addHost({ root });
      }
      await startCluster(lab, { containers: 1 });
    },
  });

  test(`9 (${store}): the binary works where there is neither libnl nor Deno and /tmp is noexec`, async (lab) => {
    const [first] = lab.hosts;
    const root = lab.host(1).options.root ?? "";
    const { stdout } = await first!.run([
      "find",
      root,
      "-xdev",
      "-name",
      "libnl*",
      "-o",
      "-xdev",
      "-name",
      "deno*",
    ]);
    assert.equal(stdout, "");
    assert.match(
      (await first!.run("mount")).stdout,
      new RegExp(`${root}/tmp type tmpfs \\(.*noexec`),
    );
    await converged(lab.hosts);
    await assertFullMesh(containersOf(lab.hosts));
    assert.deepEqual([...Deno.readDirSync(first!.path(`${root}/tmp`))], [], "files in /tmp");
    for (const host of lab.hosts) await host.leave();
  });
}
