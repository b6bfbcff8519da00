import assert from "node:assert/strict";
import { exec } from "../tests/support/exec.ts";
import { skip, whyNoLab } from "../tests/support/skip.ts";
import { WITHOUT_NFNETLINK } from "../tests/support/without_nfnetlink.ts";
import { readSmallFile } from "./file.ts";
import { Nftables, NftablesError } from "./libnftables.ts";
import { hasLibrary } from "./load.ts";
import { openNetns, withNetns } from "./netns.ts";

const NAME = `system-nft-${Deno.pid}`;

function inLab(name: string, fn: (fd: number) => void): void {
  Deno.test(name, () => {
    const reason = whyNoLab() ??
      (hasLibrary("libnftables.so.1") ? undefined : "needs libnftables");
    if (reason !== undefined) return skip(name, reason);
    new Deno.Command("ip", { args: ["netns", "add", NAME] }).outputSync();
    try {
      using there = openNetns(NAME);
      fn(there.fd);
    } finally {
      new Deno.Command("ip", { args: ["netns", "delete", NAME] }).outputSync();
    }
  });
}

Deno.test("new Nftables() says what is the matter where the library would end the process", async () => {
  if (whyNoLab() !== undefined || !hasLibrary("libnftables.so.1")) return;
  const library = new URL("libnftables.ts", import.meta.url).href;
  const script = `import { Nftables } from "${library}";
    try { new Nftables(); } catch (error) { console.log(error.name, error.message, error.remedy); }
    console.log("goes on");`;
  const { stdout } = await exec([
    ...WITHOUT_NFNETLINK,
    Deno.execPath(),
    "run",
    "-A",
    "--ext=ts",
    "-",
  ], {
    stdin: script,
  });
  assert.match(stdout, /^NoNftablesError Cannot .*EPROTONOSUPPORT .*reboot\ngoes on\n$/);
});

function rss(): number {
  return Number(readSmallFile("/proc/self/statm")!.split(" ")[1]) * 4096;
}

inLab("Nftables.run() changes the namespace the context was made in", (fd) => {
  using nft = withNetns(fd, () => new Nftables());
  using own = new Nftables();
  assert.equal(nft.run("add table inet knet-test\nadd chain inet knet-test c"), "");
  assert.match(nft.run("list ruleset"), /table inet knet-test \{/);
  assert.doesNotMatch(own.run("list tables"), /knet-test/);
  const { nftables } = JSON.parse(nft.run("list tables", { json: true }));
  assert.equal(nftables[1].table.name, "knet-test");
  assert.match(nft.run("list ruleset", { handles: true }), /# handle \d+/);
  assert.doesNotMatch(nft.run("list ruleset"), /handle/);
});

inLab("Nftables.run() refuses a transaction as a whole, with the reason", (fd) => {
  using nft = withNetns(fd, () => new Nftables());
  assert.throws(() => nft.run("add table inet t\nadd rule inet t nowhere accept"), (error) => {
    assert.ok(error instanceof NftablesError);
    assert.match(error.message, /^Cannot run nftables commands: .*No such file or directory/);
    assert.match(error.output, /\^\^/);
    return true;
  });
  assert.equal(nft.run("list tables"), "");
  assert.throws(() => nft.run("nonsense"), /Cannot run nftables commands: syntax error/);
  // An error leaves nothing behind in the buffers.
  assert.equal(nft.run("add table inet t"), "");
  assert.equal(nft.run("list tables"), "table inet t\n");
});

inLab("Nftables.run() with dryRun checks and changes nothing", (fd) => {
  using nft = withNetns(fd, () => new Nftables());
  assert.equal(nft.run("add table inet t", { dryRun: true }), "");
  assert.equal(nft.run("list tables"), "");
  assert.throws(() => nft.run("add rule inet t c accept", { dryRun: true }), NftablesError);
});

inLab("Nftables leaves out counters when asked for a stateless listing", (fd) => {
  using nft = withNetns(fd, () => new Nftables());
  nft.run("add table ip t\nadd chain ip t c\nadd rule ip t c counter accept");
  assert.match(nft.run("list ruleset"), /counter packets 0 bytes 0/);
  assert.doesNotMatch(nft.run("list ruleset", { stateless: true }), /packets/);
});

// 10,000 rather than 100,000: these take two seconds, and a leak of 500 bytes each would show.
inLab("Nftables frees 10,000 contexts, those of failing commands too", (fd) => {
  const round = () =>
    withNetns(fd, () => {
      using nft = new Nftables();
      try {
        nft.run("list table inet nowhere");
      } catch (error) {
        if (!(error instanceof NftablesError)) throw error;
      }
    });
  for (let count = 0; count < 5_000; count++) round();
  const before = rss();
  for (let count = 0; count < 10_000; count++) round();
  const grown = (rss() - before) / 1024;
  assert.ok(grown < 4_096, `grew by ${grown} KiB`);
});

inLab("Nftables refuses to run once freed", () => {
  const nft = new Nftables();
  nft[Symbol.dispose]();
  nft[Symbol.dispose]();
  assert.throws(() => nft.run("list tables"), TypeError);
});
