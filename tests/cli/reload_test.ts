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
    assert.match(left.stdout, /Removed knet0, knet\.1\nGave back the lease of 10\.244\.0\.0\/24/);
    const gone = await host.knet("status", { check: false });
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /knet join/);
  },
);

suite(
  "knet in a new shell uses the store that the host joined by, which a later join changes and knet leave forgets",
  async (lab) => {
    const host = lab.host(1);
    const bare = { env: { KNET_STORE: "" }, check: false };
    const record = host.path("/run/host/data/store.json");
    assert.equal((await host.knet("join --once")).code, 0);
    assert.equal((await Deno.stat(record)).mode! & 0o777, 0o600);
    assert.match((await host.knet("lease ls", bare)).stdout, /10\.244\.0\.0\/24/);
    assert.match((await host.knet("status", bare)).stdout, /^store +sqlite:.*: ok/m);

    const second = { env: { KNET_STORE: "sqlite:/run/shared/second.db" }, check: false };
    assert.equal((await host.knet("lease ls", second)).code, 4);
    // A host that knows a cluster begins no other one where it finds none: its own may not have been moved yet.
    assert.equal((await host.knet("join --once", second)).code, 4);
    assert.equal((await host.knet("init --other-store", second)).code, 0);
    const moved = await host.knet("join --once", second);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stderr, /it was sqlite:.*, where this host's lease stays/);
    assert.equal((await host.knet("lease ls", { check: false })).code, 4);
    assert.equal((await host.knet("lease release 10.244.0.0/24 --force --other-store")).code, 0);

    const left = await host.knet("leave", bare);
    assert.match(left.stdout, /Gave back the lease of 10\.244\.0\.0\/24/);
    await assert.rejects(Deno.stat(record), Deno.errors.NotFound);
    assert.equal((await host.knet("lease ls", second)).stdout, "No leases\n");
  },
);
