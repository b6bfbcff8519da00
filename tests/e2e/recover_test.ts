/**
 * A majority of the copies of the hosts' own store is lost for good: one that is left becomes the store, those that live follow, and the lost
 * ones that come back with their old copies are refused.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { PingStream } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const test = labSuite({
  hosts: 0,
  setUp: async (lab: Lab) => {
    for (let n = 0; n < 5; n++) await lab.addHost({ storeUrl: "" });
  },
});

async function namesOf(host: Host, role: "voter" | "standby"): Promise<string[]> {
  const { store } = await host.knetJson<StatusReport>("status");
  return (store.copies ?? []).filter((copy) => copy.role === role).map(({ name }) => name).sort();
}

/** An agent that comes back may wait for hosts that are lost, on a machine that is busy. */
async function start(host: Host, options: Parameters<Host["join"]>[0]): Promise<void> {
  await host.join({ ...options, wait: false });
  const ready = async () => (await host.get("/readyz")).status === 200;
  await until(`the agent of ${host.name} is ready`, ready, { deadline: 60_000 });
}

async function tokenOf(host: Host): Promise<string> {
  return (await host.knet("token")).stdout.trim().split(" ").at(-1)!;
}

// Which hosts vote is not said beforehand.
let lost: Host[];
let third: Host, follower: Host;

/** Two words in one order or the other. */
const either = ([a, b]: readonly string[]) => `${a}, ${b}|${b}, ${a}`;

const service = (n: number) => `svc add s${n} --vip 10.96.0.${n} --port 80 --to 10.244.0.2:80`;

test("two of three that vote are lost: the third makes its copy the store, one that stands by follows, and pings go on", async (lab) => {
  const [h1, h2, h3, h4] = lab.hosts as [Host, Host, Host, Host];
  await start(h1, { env: OWN });
  const token = await tokenOf(h1);
  for (const host of [h2, h3, h4]) await start(host, { args: [token] });
  const four = [h1, h2, h3, h4];
  for (const host of four) await host.attach("c1");
  await converged(four);
  await until("three vote, one stands by", async () => {
    const [voters, standbys] = [await namesOf(h1, "voter"), await namesOf(h1, "standby")];
    if (voters.length < 3 || standbys.length < 1) return false;
    const named = (name: string) => four.find((host) => host.name === name)!;
    [lost, third, follower] = [
      voters.slice(0, 2).map(named),
      named(voters[2]!),
      named(standbys[0]!),
    ];
    return true;
  }, { deadline: 60_000 });
  await lost[1]!.knet(service(1));
  const { address } = follower.containers[0]!;
  const stream = await PingStream.start(third.containers[0]!, address, 0.02);
  await using _end = stream;

  const left = [third.name, follower.name].sort();
  const early = await third.knet("store recover --force", { check: false });
  assert.equal(early.code, 4, early.stderr);
  assert.match(early.stderr, /this host's agent runs/);
  await third.stop();
  const there = await third.knet("store recover --force", { check: false });
  assert.equal(there.code, 4, there.stderr);
  assert.match(there.stderr, /leads it, so nothing is lost|no majority is lost/);

  for (const host of lost) await host.stop("SIGKILL");
  const away = await follower.knet(service(2), { check: false });
  assert.equal(away.code, 1);
  assert.match(away.stderr, /knet store recover/);
  const unsure = await third.knet("store recover", { check: false });
  assert.equal(unsure.code, 4, unsure.stderr);
  assert.match(
    unsure.stderr,
    new RegExp(`(${either(lost.map(({ name }) => name))}) do not answer`),
  );
  const dry = await third.knetJson<{ log: { term: number; index: number }; kept: unknown[] }>(
    "store recover --dry-run",
  );
  assert.ok(dry.log.index > 0);
  assert.deepEqual(dry.kept, [{
    node: await nodeOf(follower),
    name: follower.name,
    role: "standby",
  }]);
  const begin = performance.now();
  const { stdout } = await third.knet("store recover --force");
  const dropped = lost.map(({ name }) => `${name} \\(votes\\)`);
  assert.match(stdout, new RegExp(`dropped +(${either(dropped)})\n`));
  await start(third, { env: OWN });
  const written = async () => (await third.knet(service(3), { check: false })).code === 0;
  await until("it writes", written, { deadline: 30_000 });
  const took = performance.now() - begin;
  report(`13: written ${ms(took)} after knet store recover began`);
  await until("the one that stood by follows, and votes", async () => {
    return (await namesOf(third, "voter")).join() === left.join();
  }, { deadline: 60_000 });
  await until(
    "it takes changes",
    async () => (await follower.knet(service(4), { check: false })).code === 0,
    { deadline: 30_000 },
  );
  const services = (await follower.knet("svc ls")).stdout;
  for (const name of ["s1", "s3", "s4"]) assert.ok(services.includes(name), services);
  const { sent, lost: missed } = await stream.stop();
  assert.equal(missed, 0, `of ${sent} pings`);
});

async function nodeOf(host: Host): Promise<string> {
  return (await host.knetJson<StatusReport>("status")).node.id;
}

test("the lost ones come back with their old copies: refused by all others, and nothing of theirs gets into the store", async () => {
  const [h1, h2] = lost as [Host, Host];
  await Promise.all([h1, h2].map((host) => start(host, { env: OWN })));
  // Their old copies are a majority of their own, until they hear that they are out, if they ever do.
  for (let tries = 0; tries < 5; tries++) {
    if ((await h1.knet(service(5), { check: false })).code === 0) break;
  }
  for (const host of [third, follower]) {
    const { stdout } = await host.knet("svc ls");
    assert.ok(stdout.includes("s3") && !stdout.includes("s5"), stdout);
    assert.deepEqual(await namesOf(host, "voter"), [third.name, follower.name].sort());
  }
  const { nodes } = await third.knetJson<{ nodes: { nodeId: string; revoked: number }[] }>(
    "token ls",
  );
  const revoked = [await nodeOf(h1), await nodeOf(h2)];
  for (const { nodeId, revoked: at } of nodes) assert.equal(at > 0, revoked.includes(nodeId));
  // Nor does one of them make its copy the store.
  await h1.stop();
  await h2.stop();
  const { code, stderr } = await h1.knet("store recover --force", { check: false });
  assert.equal(code, 4);
  assert.match(stderr, /lives, and takes this host for none of the cluster/);
});

test("a new host and a dropped one that left join by a new token, and three vote", async (lab) => {
  const [h1, h2] = lost as [Host, Host];
  const h5 = lab.host(5);
  const token = await tokenOf(third);
  await start(h5, { args: [token] });
  await h1.knet("leave", { check: false });
  await h1.run("ip netns delete c1");
  await start(h1, { args: [token] });
  await until("they vote", async () => {
    const voters = await namesOf(follower, "voter");
    return voters.length === 3 && !voters.includes(h2.name);
  }, { deadline: 60_000 });
  await h1.knet(service(6), { check: false });
  const { stdout } = await h5.knet("svc ls");
  assert.ok(stdout.includes("s3") && !stdout.includes("s5"), stdout);
});
