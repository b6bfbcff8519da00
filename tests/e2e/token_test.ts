/**
 * A cluster from nothing: one command a host, by the token that the first one gives.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { assertFullMesh, containersOf } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const onBare = labSuite({
  hosts: 0,
  setUp: async (lab: Lab) => {
    for (let n = 0; n < 4; n++) await lab.addHost({ storeUrl: "" });
  },
});

let token = "";

onBare(
  "knet join on the first host and knet join TOKEN on the others make a cluster",
  async (lab) => {
    const [first, second, third] = lab.hosts;
    const begin = performance.now();
    await first!.join({ env: OWN });
    token = (await first!.knet("token")).stdout.trim().split(" ").at(-1)!;
    assert.match(token, /^knet1\./);
    await Promise.all([second!, third!].map((host) => host.join({ args: [token] })));
    report(
      `13: three hosts are a cluster ${ms(performance.now() - begin)} after the first command`,
    );
    const three = [first!, second!, third!];
    for (const host of three) await host.attach("c1");
    await converged(three);
    await assertFullMesh(containersOf(three));
    await until("all three hold copies", async () => {
      const { store } = await third!.knetJson<StatusReport>("status");
      return store.copies?.filter(({ role }) => role === "voter").length === 3;
    }, { deadline: 30_000 });
    const { stdout } = await second!.knet("lease ls");
    for (const host of three) assert.ok(stdout.includes(host.name), stdout);
  },
);

onBare("knet join refuses what is no token of this cluster, each in its own words", async (lab) => {
  const [first, , , fourth] = lab.hosts;
  const refused = async (word: string, pattern: RegExp) => {
    const line = ["join", ...fourth!.joinArgs, word, "--once"];
    const { code, stderr } = await fourth!.knet(line, { check: false });
    assert.notEqual(code, 0);
    assert.match(stderr, pattern);
    assert.doesNotMatch(stderr, /\n\s+at /);
  };
  await refused("web1", /is no token; one begins with "knet1."/);
  await refused(token.slice(0, -5), /cut short|mistyped|not whole/i);
  await refused(
    `${token.slice(0, 40)}${token[40] === "a" ? "b" : "a"}${token.slice(41)}`,
    /mistyped|cut short|not whole/i,
  );
  const single = (await first!.knet("token --once")).stdout.trim().split(" ").at(-1)!;
  const { tokens } = await first!.knetJson<{ tokens: { id: string }[] }>("token ls");
  assert.equal(tokens.length, 2);
  for (const { id } of tokens) await first!.knet(`token revoke ${id}`);
  await refused(single, /revoked/);
  await refused(token, /revoked/);
});

onBare("an agent that joined by a token comes back without it", async (lab) => {
  const [, second, third] = lab.hosts;
  const before = await third!.subnet();
  await third!.stop("SIGKILL");
  await third!.join({ env: OWN });
  assert.equal(await third!.subnet(), before);
  await third!.stop("SIGKILL");
  await third!.join({ args: [token] });
  await converged(lab.hosts.slice(0, 3));
  await second!.knet("svc add web --vip 10.96.0.9 --port 80");
});

onBare(
  "a copy of a host takes no part while the host runs, nor the host while its copy runs",
  async (lab) => {
    const [, second] = lab.hosts.slice(0, 3);
    const copy = await lab.addHost({ name: "copy", storeUrl: "", machineId: second!.machineId });
    await Deno.symlink(second!.path("/run/host/data"), `${lab.directory}/original`);
    await copy.run(["cp", "-a", `${lab.directory}/original/.`, "/run/host/data"]);
    await copy.sh("rm -f /run/host/data/agent.lock");
    const refused = async (host: Host, at: string) => {
      const agent = await host.join({ env: OWN, wait: false });
      await until(`${host.name} ends`, () => agent.ended !== undefined, { deadline: 30_000 });
      assert.equal(agent.ended?.code, 4, agent.stderr);
      assert.match(
        agent.stderr,
        /One is a copy of the other: on this one, empty the data directory/,
      );
      assert.ok(agent.stderr.includes(`${at} runs with the same node id`), agent.stderr);
      assert.doesNotMatch(agent.stderr, /Holding/);
    };
    await refused(copy, second!.address);
    await converged(lab.hosts.slice(0, 3));
    await second!.stop();
    await copy.join({ env: OWN });
    await until("others know the copy", async () => {
      const { peers } = await lab.host(1).knetJson<StatusReport>("status");
      return peers.some(({ publicIp }) => publicIp === copy.address);
    }, { deadline: 30_000 });
    await refused(second!, copy.address);
    await copy.stop();
    lab.hosts.splice(lab.hosts.indexOf(copy), 1);
    await copy[Symbol.asyncDispose]();
    await second!.join({ env: OWN });
    await converged(lab.hosts.slice(0, 3));
  },
);

onBare(
  "a host that leaves keeps nothing by which it would be let in, and its certificate is revoked",
  async (lab) => {
    const [first, , third] = lab.hosts;
    const { node } = await third!.knetJson<StatusReport>("status");
    const { stdout } = await third!.knet("leave");
    assert.match(stdout, /Revoked its certificate: it comes back by a new token/);
    const { stdout: left } = await third!.sh("ls /run/host/data");
    for (const file of ["node.pem", "hosts.json", "revoked.json", "dqlite", "store.json"]) {
      assert.ok(!left.split("\n").includes(file), left);
    }
    const { nodes } = await first!.knetJson<{ nodes: { nodeId: string; revoked: number }[] }>(
      "token ls",
    );
    for (const { nodeId, revoked } of nodes) assert.equal(revoked > 0, nodeId === node.id, nodeId);
  },
);
