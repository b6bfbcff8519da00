/**
 * `knet join` and SIGHUP: the configuration is read again, and the network works on meanwhile.
 *
 * @module
 */
import assert from "node:assert/strict";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const suite = labSuite({
  hosts: 1,
  store: "sqlite",
  setUp: async (lab) => void await lab.host(1).knet("init --network 10.244.0.0/16"),
});

suite("knet join reads its configuration again on SIGHUP, and keeps its devices", async (lab) => {
  const host = lab.host(1);
  const file = `${lab.shared}/knet.yaml`;
  await Deno.writeTextFile(file, "log-level: info\n");
  const agent = await host.join({ args: ["--config", "/run/shared/knet.yaml"] });
  const device = async () => (await host.run("ip -o link show knet.1")).stdout.split(":")[0];
  const before = await device();

  await Deno.writeTextFile(file, "ip-masq: perhaps\n");
  Deno.kill(agent.pid, "SIGHUP");
  await until("the wrong file is refused", () => agent.stderr.includes('"perhaps"'));
  assert.equal(agent.ended, undefined, "the agent goes on");
  assert.match(agent.stderr, /Goes on as before: Cannot use "ip-masq"/);

  await Deno.writeTextFile(file, "ip-masq: true\nlog-format: json\n");
  Deno.kill(agent.pid, "SIGHUP");
  await until("the new setting holds", async () => {
    try {
      return (await host.subnetEnv())["KNET_IPMASQ"] === "true";
    } catch {
      return false;
    }
  });
  await host.ready();
  assert.equal(await device(), before);
  assert.match(agent.stderr, /^\{"time":.*Read the configuration again/m);
  const status = await host.stop();
  assert.equal(status?.code, 0);
});

suite(
  "knet status shows the host with and without its agent, knet leave ends both",
  async (lab) => {
    const host = lab.host(1);
    await host.join();
    assert.match((await host.knet("status")).stdout, /^agent +\S.*\(pid \d+/m);
    await host.stop();
    const stopped = await host.knet("status");
    assert.match(stopped.stdout, /^agent +not running$/m);
    const left = await host.knet("leave");
    assert.match(left.stdout, /Removed knet\.1, knet0\nGave back the lease of 10\.244\.0\.0\/24/);
    const gone = await host.knet("status", { check: false });
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /knet join/);
  },
);
