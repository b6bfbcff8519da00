/**
 * Hosts that hold the store themselves, and all have other addresses: where they meet on one segment they find each other, and where they
 * do not somebody tells them.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const test = labSuite({
  hosts: 0,
  setUp: async (lab: Lab) => {
    for (let n = 0; n < 3; n++) await lab.addHost({ storeUrl: "" });
    const [first, ...others] = lab.hosts as [Host, ...Host[]];
    await first.join({ env: OWN });
    const token = (await first.knet("token")).stdout.trim().split(" ").at(-1)!;
    for (const host of others) await host.join({ args: [token] });
    await votes(first);
  },
});

/** Waits until all three hosts vote. */
async function votes(host: Host): Promise<void> {
  await until("three hosts vote", async () => {
    const { store } = await host.knetJson<StatusReport>("status");
    return store.copies?.filter(({ role }) => role === "voter").length === 3;
  }, { deadline: 60_000 });
}

/** Gives a host another address in its place. */
async function move(host: Host, address: string): Promise<void> {
  await host.sh(
    `ip addr flush dev eth0; ip addr add ${address}/24 dev eth0
     ip route replace default via ${address.replace(/\d+$/, "254")} dev eth0 onlink`,
  );
  host.address = address;
}

/** A token that leads to a host, whoever leads just then. */
async function tokenOf(host: Host): Promise<string> {
  const { value } = await until("it gives a token", async () => {
    return (await host.knet(`token --address ${host.address}`)).stdout.trim().split(" ").at(-1);
  });
  return value;
}

let services = 0;

/** Milliseconds until a host takes a change. */
async function writes(host: Host): Promise<number> {
  const begin = performance.now();
  const line = `svc add s${++services} --vip 10.96.0.${services} --port 80 --to 10.244.0.2:80`;
  await until(`${host.name} writes`, async () => {
    return (await host.knet(line, { check: false })).code === 0;
  }, { deadline: 30_000 });
  return performance.now() - begin;
}

/** Starts agents one after the other, and does not wait for any. */
async function start(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) await host.join({ env: OWN, wait: false });
}

test("a command that comes while this host's replica is just starting waits for it", async (lab) => {
  const [h1, host, silent] = lab.hosts as [Host, Host, Host];
  await votes(h1);
  const socket = "/run/knet/store/root.sock";
  // It looks first whether somebody else runs as it, and one of those whom it asks says nothing.
  const drop = "type filter hook input priority -300; policy drop;";
  await silent.sh(`nft 'table inet deaf { chain in { ${drop} }; }'`);
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await host.stop(signal);
    await host.sh(`rm -f ${socket}`);
    await start([host]);
    await until("its agent listens", async () => {
      return (await host.sh(`test -S ${socket}`, { check: false })).code === 0;
    }, { interval: 5 });
    const { code, stderr } = await host.knet("lease prune", { check: false });
    assert.equal(code, 0, stderr);
    await host.ready();
  }
  await silent.sh("nft delete table inet deaf");
});

test("all agents are stopped, all hosts get other addresses of another network: started in any order they write", async (lab) => {
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  for (const host of lab.hosts) await host.stop();
  for (const [n, host] of lab.hosts.entries()) await move(host, `192.168.60.${50 + n}`);
  await start([h3, h1]);
  const took = await writes(h3);
  report(`13: two of three hosts with other addresses write ${ms(took)} after their agents began`);
  assert.ok(took < 15_000, ms(took));
  await start([h2]);
  await writes(h2);
  await converged(lab.hosts);
});

test("all hosts get other addresses while their agents run", async (lab) => {
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  await Promise.all([
    move(h1, "192.168.61.51"),
    move(h2, "192.168.61.52"),
    move(h3, "192.168.61.77"),
  ]);
  const took = await writes(h2);
  report(`13: three hosts whose addresses changed at once write after ${ms(took)}`);
  assert.ok(took < 15_000, ms(took));
  for (const host of lab.hosts) await writes(host);
  await converged(lab.hosts);
});

test("two hosts have each other's address, by and by while their agents run and then while they do not", async (lab) => {
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  const swap = async () => {
    const [one, two] = [h1.address, h2.address];
    await h1.sh("ip addr flush dev eth0");
    await move(h2, one);
    await move(h1, two);
  };
  await swap();
  const running = await writes(h1);
  for (const host of lab.hosts) await writes(host);
  await converged(lab.hosts);
  for (const host of lab.hosts) await host.stop();
  await swap();
  await start([h2, h1, h3]);
  const stopped = await writes(h2);
  report(
    `13: hosts that swapped addresses write after ${ms(running)}, and ${
      ms(stopped)
    } after they began anew`,
  );
  for (const host of lab.hosts) await writes(host);
  await converged(lab.hosts);
});

test("a host that was away while the others moved finds them", async (lab) => {
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  await h3.stop("SIGKILL");
  await Promise.all([move(h1, "192.168.63.1"), move(h2, "192.168.63.2")]);
  await writes(h1);
  await move(h3, "192.168.63.3");
  await start([h3]);
  const took = await writes(h3);
  report(`13: a host that was away while the others moved writes after ${ms(took)}`);
  assert.ok(took < 15_000, ms(took));
  await converged(lab.hosts);
});

test("hosts that do not hear each other are told by knet store reach where they are", async (lab) => {
  const [h1, h2] = lab.hosts as [Host, Host];
  for (const host of lab.hosts) await host.stop();
  for (const [n, host] of lab.hosts.entries()) {
    await move(host, `192.168.62.${50 + n}`);
    await host.sh(
      "nft add table ip deaf; nft 'add chain ip deaf in { type filter hook input priority 0; }'; nft add rule ip deaf in udp dport 8473 drop",
    );
  }
  await start(lab.hosts);
  await until("the agents answer", async () => (await h1.get("/status")).status === 200);
  const line = "svc add lost --vip 10.96.0.99 --port 80 --to 10.244.0.2:80";
  assert.notEqual((await h1.knet(line, { check: false })).code, 0);
  const { code, stdout } = await h1.knet(
    "store reach 192.168.62.51,192.168.62.52:8473,192.168.62.50,192.168.62.9",
    { check: false },
  );
  assert.equal(code, 1);
  assert.match(stdout, /192\.168\.62\.51 +h2 +found/);
  assert.match(stdout, /192\.168\.62\.52 +h3 +found/);
  assert.match(stdout, /192\.168\.62\.50 +- +it is this host/);
  assert.match(stdout, /192\.168\.62\.9 +- +Cannot reach/);
  const took = await writes(h2);
  report(`13: hosts that were told where they are write after ${ms(took)}`);
  assert.ok(took < 15_000, ms(took));
  for (const host of lab.hosts) await host.sh("nft delete table ip deaf");
  await converged(lab.hosts);
});

test("a host that is left out by another one is let in by a new token only", async (lab) => {
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  await h3.stop("SIGKILL");
  await writes(h1);
  const { stdout } = await h1.knet("leave --node h3 --force");
  assert.match(stdout, /Revoked its certificate/);
  await start([h3]);
  await until(
    "it says why",
    () => h3.agent!.stderr.includes("this host's certificate was revoked"),
    { deadline: 60_000 },
  );
  await h3.stop();
  const token = (await h2.knet("token")).stdout.trim().split(" ").at(-1)!;
  await h3.join({ args: [token] });
  await writes(h3);
});

test("a host whose own rules drop what comes in lets the store's port in, and one whose rules nobody may touch says which port", async (lab) => {
  const [h1, h2] = lab.hosts as [Host, Host];
  const drops =
    "ip link set lo up; iptables -w -P INPUT DROP; iptables -w -A INPUT -i lo -j ACCEPT; " +
    "iptables -w -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables -w -A INPUT -p icmp -j ACCEPT";
  await h1.sh(drops);
  const rules = async () => (await h1.run("iptables -w -S")).stdout;
  await until("the rules are there", async () => {
    const text = await rules();
    return /INPUT .*tcp .*8473 .*knet/.test(text) && /INPUT .*udp .*8473 .*knet/.test(text);
  }, { deadline: 20_000 });
  const joiner = await lab.addHost({ storeUrl: "" });
  // Wherever the tests before have moved the others to.
  await move(joiner, h1.address.replace(/\d+$/, "90"));
  await joiner.join({ args: [await tokenOf(h1)] });
  await writes(joiner);
  await joiner.leave();
  // Whoever is there before knet's rules in its chain is not overridden, and named.
  await h2.sh(
    "nft add table inet wall; nft 'add chain inet wall in { type filter hook input priority 0; policy accept; }'; nft add rule inet wall in tcp dport 8473 drop",
  );
  const { stdout } = await h2.knet("doctor", { check: false });
  assert.match(stdout, /firewall: store.*drops what comes in, also TCP port 8473/);
  const deaf = await tokenOf(h2);
  const { code, stderr } = await joiner.knet(["join", ...joiner.joinArgs, deaf], { check: false });
  assert.equal(code, 1);
  assert.match(stderr, /no firewall keeps TCP port 8473 closed/);
  await h2.sh("nft delete table inet wall");
});
