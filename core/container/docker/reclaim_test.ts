import assert from "node:assert/strict";
import { type DockerStage, dockerStage } from "../../../tests/support/docker_stage.ts";
import { readHeld, writeHeld } from "../held.ts";
import { DockerReclaimer } from "./reclaim.ts";

const containers = (...addresses: string[]) => ({
  status: 200,
  body: {
    Containers: Object.fromEntries(
      addresses.map((one, n) => [`id${n}`, { IPv4Address: `${one}/24` }]),
    ),
  },
});

/** It asks for the network, and for nothing else. */
function assertAsked({ asked }: DockerStage): void {
  assert.ok(asked.length > 0);
  for (const { pathname } of asked) assert.equal(pathname, "/networks/knet");
}

Deno.test("DockerReclaimer.look() frees what Docker has not known for most of a minute, and nothing else", async () => {
  await using it = dockerStage({});
  const place = { dataDir: it.dataDir, bootId: "a" };
  const reclaimer = new DockerReclaimer(place);
  writeHeld(place, [
    { address: "10.244.0.2", runtime: "docker" },
    { address: "10.244.0.3", runtime: "docker" },
    { address: "10.244.0.4", runtime: "other" },
  ]);
  it.answer = containers("10.244.0.2");
  assert.deepEqual(await reclaimer.look(), []);
  it.seconds = 60;
  assert.deepEqual(await reclaimer.look(), ["10.244.0.3"]);
  assert.deepEqual(readHeld(place).map(({ address }) => address), ["10.244.0.2", "10.244.0.4"]);
  // A network that somebody removed.
  it.answer = { status: 404, body: { message: "no such network" } };
  assert.deepEqual(await reclaimer.look(), []);
  it.seconds = 120;
  assert.deepEqual(await reclaimer.look(), ["10.244.0.2"]);
  assertAsked(it);
});

Deno.test("DockerReclaimer.look() keeps what Docker knew in between, and all while Docker does not answer", async () => {
  await using it = dockerStage({});
  const place = { dataDir: it.dataDir, bootId: "a" };
  const reclaimer = new DockerReclaimer(place);
  writeHeld(place, [{ address: "10.244.0.2", runtime: "docker" }]);
  const answers = [
    containers(),
    containers("10.244.0.2"),
    containers(),
    { status: 500, body: {} },
    containers(),
  ];
  for (const [n, answer] of answers.entries()) {
    it.seconds = n * 60;
    it.answer = answer;
    assert.deepEqual(await reclaimer.look(), [], `${n}`);
  }
  Deno.removeSync(`${it.dataDir}/installed-docker.json`);
  it.seconds = 600;
  assert.deepEqual(await reclaimer.look(), []);
  assertAsked(it);
});
