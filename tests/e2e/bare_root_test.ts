/**
 * Acceptance 9: the binary alone is enough, without libnl, without Deno, with /tmp mounted noexec.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { StatusReport } from "../../core/inspect/status.ts";
import { libraryPath, makeBareRoot } from "../support/bare_root.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { type Lab, STORES } from "../support/lab.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
import { filterSet, readTrace } from "../support/syscalls.ts";
import { report } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const binary = Deno.env.get("KNET_BIN") ?? new URL("../../dist/knet", import.meta.url).pathname;
const PROGRAM = "/usr/bin/knet";

function missing(): boolean {
  try {
    return !Deno.statSync(binary).isFile;
  } catch {
    return true;
  }
}

/** A host whose root file system holds the binary, the C library and `libraries`. */
async function addBareHost(lab: Lab, libraries: readonly string[]): Promise<Host> {
  const root = `${lab.directory}/root${lab.hosts.length + 1}`;
  await makeBareRoot(root, binary, libraries);
  return await lab.addHost({ root });
}

async function nftables(): Promise<string[]> {
  const path = await libraryPath("libnftables.so.1");
  return path === undefined ? [] : [path];
}

for (const store of STORES) {
  const name =
    `9 (${store}): the binary works where there is neither libnl nor Deno and /tmp is noexec`;
  if (missing()) {
    Deno.test({ name: `${name} [skipped: there is no dist/knet]`, ignore: true, fn: () => {} });
    continue;
  }
  const test = labSuite({
    hosts: 0,
    store,
    setUp: async (lab) => {
      for (let n = 1; n <= 2; n++) await addBareHost(lab, await nftables());
      await startCluster(lab, { containers: 1 });
    },
  });

  test(name, async (lab) => {
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
  });

  test(`9 (${store}): without libnftables the overlay works, and the agent says what is missing`, async (lab) => {
    const host = await addBareHost(lab, []);
    const refused = await host.knet("join --ip-masq", { check: false });
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, /Cannot masquerade \(--ip-masq\): Cannot load libnftables\.so\.1/);
    assert.match(refused.stderr, /libnftables1 \(Debian/);

    const agent = await host.join();
    assert.match(agent.stderr, /No firewall: ANYBODY on the underlay/);
    const { warnings } = await host.knetJson<StatusReport>("status");
    assert.match(warnings.join(), /No firewall: .*Install the package libnftables1/);
    await host.attach("c1");
    await converged(lab.hosts);
    await assertFullMesh(containersOf(lab.hosts));
    await host.leave();
    assert.equal((await host.run("ip -br link show knet0", { check: false })).code, 1);
  });

  test(`9 (${store}): the binary touches no file under /tmp and makes no call that the unit forbids`, async (lab) => {
    const host = await addBareHost(lab, await nftables());
    const file = "/run/host/trace";
    const leave = { wrapper: ["strace", "-f", "-o", `${file}.leave`] };
    const agent = await host.join({ wrapper: ["strace", "-f", "-o", file] });
    try {
      await host.attach("c1");
      await converged([...lab.hosts.slice(0, 2), host]);
      // strace passes no signals on: leave asks the agent to end.
      await host.knet("leave", leave);
      await agent.status;
    } finally {
      // Left alone, the agent outlives its strace, and the test waits for its output for ever.
      if (agent.ended === undefined) await host.knet("leave", { check: false });
    }
    const unit = await Deno.readTextFile(new URL("../../dist/knet.service", import.meta.url));
    const [allow, deny] = [...unit.matchAll(/^SystemCallFilter=(.*)$/gm)].map((one) => one[1]!);
    const allowed = await filterSet(allow!);
    for (const call of await filterSet(deny!.replace("~", "")) ?? []) allowed?.delete(call);
    for (const part of [file, `${file}.leave`]) {
      const trace = readTrace(await Deno.readTextFile(host.path(part)), PROGRAM);
      assert.ok(trace.calls.size > 20 && trace.paths.length > 20, "there is a trace");
      assert.ok(trace.paths.some((path) => path.startsWith("/run/knet/")), "of the agent");
      assert.deepEqual(trace.paths.filter((path) => /^(\/var)?\/tmp(\/|$)/.test(path)), []);
      assert.ok(!trace.paths.some((path) => /\/dev\/shm|deno-compile/.test(path)));
      if (allowed === undefined) {
        skip("system calls against the unit's filter", "needs systemd-analyze (package systemd)");
      } else assert.deepEqual([...trace.calls].filter((call) => !allowed.has(call)), []);
    }
  });

  test(`9 (${store}): leave on a bare root takes everything down`, async (lab) => {
    for (const host of lab.hosts.slice(0, 2)) {
      await host.leave();
      assert.doesNotMatch((await host.run("ip -br link")).stdout, /knet|kv/);
      assert.doesNotMatch((await host.run("nft list tables")).stdout, /knet/);
    }
  });
}

if (!missing()) {
  Deno.test("9: the binary's size is reported, and it carries what it must and nothing else", async () => {
    const { size } = await Deno.stat(binary);
    report(`9: the binary has ${(size / 1e6).toFixed(1)} MB`);
    const bytes = await Deno.readFile(binary);
    const holds = (text: string) => indexOf(bytes, new TextEncoder().encode(text)) >= 0;
    assert.ok(holds("GNU LESSER GENERAL PUBLIC LICENSE"), "the licence of libnl");
    assert.ok(holds("unmodified copies of three shared libraries of libnl"), "the notice");
    assert.ok(holds("dqlite_node_recover_ext"), "dqlite");
    assert.ok(holds("unmodified copies of the shared libraries of dqlite"), "the notice");
    assert.ok(holds("special exception to the GNU Lesser General Public"), "its licence");
    assert.ok(!holds("export function labSuite"), "the tests");
    assert.ok(!holds("pure-rand"), "what only tests import");
  });
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(wanted);
}
