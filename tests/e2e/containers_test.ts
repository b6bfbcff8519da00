/**
 * Containers as they come and go: none inherits what a dead one left, addresses that others hold on the bridge are left alone.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster, threeVote } from "../support/cluster.ts";
import { blockStore } from "../support/database_lock.ts";
import type { Host } from "../support/host.ts";
import { STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

interface Book {
  bootId: string;
  containers: { netns: string; netnsId: string; ifname: string; address: string }[];
}

const test = labSuite({
  // One host that holds the store itself is never without it, and one of two is no majority.
  hosts: STORES[0] === "dqlite" ? 3 : 1,
  store: "sqlite",
  setUp: (lab) => startCluster(lab),
});

function bookOf(host: Host): Book {
  return JSON.parse(Deno.readTextFileSync(host.path("/run/host/data/containers.json"))) as Book;
}

function writeBook(host: Host, book: Book): void {
  Deno.writeTextFileSync(host.path("/run/host/data/containers.json"), JSON.stringify(book));
}

async function inodeOf(host: Host, netns: string): Promise<string> {
  const { stdout } = await host.run(["stat", "-L", "-c", "%d:%i", `/run/netns/${netns}`]);
  return stdout.trim();
}

/** Puts the number of a namespace into the record of another, as if it had returned. */
function giveNumber(host: Host, netns: string, number: string): void {
  const book = bookOf(host);
  const containers = book.containers.map((one) =>
    one.netns === netns ? { ...one, netnsId: number } : one
  );
  writeBook(host, { ...book, containers });
}

test("attach gives a new container nothing of a dead one whose namespace had the same number", async (lab) => {
  const host = lab.host(1);
  await host.attach("dead", ["--ip", "10.244.0.77"]);
  await host.run("ip netns delete dead");
  await host.run("ip netns add born");
  giveNumber(host, "dead", await inodeOf(host, "born"));
  const born = await host.knetJson<{ address: string; how: string }>("attach born");
  assert.equal(born.how, "attached");
  assert.notEqual(born.address, "10.244.0.77");
  assert.ok(!bookOf(host).containers.some(({ netns }) => netns === "dead"), "its address is free");
  await host.knet("detach born");
  await host.run("ip netns delete born");
});

test("attach and detach know a container of knet 0.1 by its wire, detach frees nobody else's", async (lab) => {
  const host = lab.host(1);
  const old = await host.attach("old");
  const number = await inodeOf(host, "old");
  giveNumber(host, "old", number);
  const again = await host.knetJson<{ address: string; how: string }>("attach old");
  assert.deepEqual([again.address, again.how], [old.address, "present"]);
  // Its wire is gone, so that nothing tells it from another with this number.
  await host.run("ip netns exec old ip link delete eth0");
  const fresh = await host.knetJson<{ how: string }>("attach old");
  assert.equal(fresh.how, "attached");
  assert.equal(bookOf(host).containers.filter(({ netns }) => netns === "old").length, 1);
  assert.match(bookOf(host).containers.find(({ netns }) => netns === "old")!.netnsId, /^cookie:/);
  await host.knet("detach old");
  assert.deepEqual(bookOf(host).containers, []);
  await host.run("ip netns delete old");
});

test("attach leaves out an address that somebody else answers for on the bridge", async (lab) => {
  const host = lab.host(1);
  await host.sh(`ip netns add alien
ip link add alien type veth peer name eth0 netns alien
ip link set alien master knet0 up
ip netns exec alien ip addr add 10.244.0.2/24 dev eth0
ip netns exec alien ip link set eth0 up
ping -n -c 1 -w 5 10.244.0.2`);
  const knets = await host.attach("knets");
  assert.notEqual(knets.address, "10.244.0.2");
  const { stderr } = await host.knet("attach alien --ifname eth1 --ip 10.244.0.2", {
    check: false,
  });
  assert.match(stderr, /10\.244\.0\.2: it is held by somebody on "knet0" who is not knet's/);
  await host.knet("detach knets");
  await host.sh("ip netns delete alien; ip netns delete knets");
});

test("attach waits for no store, which is told when it is back, and what went without an agent is told no more", async (lab) => {
  const host = lab.host(1);
  const listed = async () =>
    (await lab.hosts.at(-1)!.knetJson<{ containers: { name: string; address: string }[] }>(
      "container ls",
    ))
      .containers.filter(({ name }) => name === "told").map(({ address }) => address);
  if (lab.store === "dqlite") await threeVote(host);
  const blocked = await blockStore(lab);
  const { address } = await host.attach("away", ["--name", "told"]);
  await blocked[Symbol.asyncDispose]();
  await until("the store is told", async () => (await listed()).join() === address);
  await host.stop("SIGKILL");
  await host.knet("detach away");
  assert.deepEqual(await listed(), [address], "what its agent said last");
  await host.join();
  await until("the store is told that it went", async () => (await listed()).length === 0);
  host.containers.pop();
  await host.run("ip netns delete away");
});

test("attach limits a container's bandwidth, changes the limits and lifts them again", async (lab) => {
  const host = lab.host(1);
  await host.run("ip netns add slow");
  interface Queue {
    kind: string;
    options: { rate?: number };
  }
  const rateOf = async (device: string) =>
    (await host.json<Queue[]>(`tc -j qdisc show dev ${device}`))
      .find(({ kind }) => kind === "tbf")?.options.rate;
  const devices = async () =>
    (await host.run("ip -br link show type ifb")).stdout.split(/\s/).filter((word) =>
      word.startsWith("kv")
    );
  const attach = (options: string) =>
    host.knetJson<{ hostIfname: string; how: string }>(`attach slow ${options}`);
  const { hostIfname: wire } = await attach("--ingress-rate 8M");
  assert.equal(await rateOf(wire), 1_000_000); // Bytes a second.
  assert.deepEqual(await devices(), []);
  await host.run("ip netns exec slow ping -n -c 1 -W 2 10.244.0.1");

  // Both ways, and with another rate; without options it stays so.
  const more = await attach("--ingress-rate 16M --egress-rate 4M --egress-burst 400k");
  assert.equal(more.how, "present");
  for (let n = 0; n < 2; n++) {
    const [shaper, ...others] = await devices();
    assert.deepEqual(others, []);
    assert.deepEqual([await rateOf(wire), await rateOf(shaper!)], [2_000_000, 500_000]);
    await attach("");
  }
  await host.run("ip netns exec slow ping -n -c 1 -W 2 10.244.0.1");

  await attach("--egress-rate 4M");
  assert.equal(await rateOf(wire), undefined);
  await attach("--egress-rate 0");
  assert.deepEqual(await devices(), []);
  assert.doesNotMatch((await host.run(["tc", "qdisc", "show", "dev", wire])).stdout, /ingress|tbf/);
  await host.run("ip netns exec slow ping -n -c 1 -W 2 10.244.0.1");
  const half = await host.knet("attach slow --ingress-burst 1M", { check: false });
  assert.equal(half.code, 2);
  assert.match(half.stderr, /ingressBurst needs ingressRate/);
  await host.knet("detach slow");
  await host.run("ip netns delete slow");
});
