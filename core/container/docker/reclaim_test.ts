import assert from "node:assert/strict";
import { giveClock } from "../../base/clock.ts";
import { readHeld, writeHeld } from "../held.ts";
import { DockerReclaimer } from "./reclaim.ts";

interface Stage extends AsyncDisposable {
  readonly dataDir: string;
  /** What Docker answers. */
  answer: { status: number; body: unknown };
  seconds: number;
}

function stage(): Stage {
  const dataDir = Deno.makeTempDirSync();
  const socket = `${dataDir}/docker.sock`;
  const record = { spec: "/etc/docker/plugins/knet.spec", network: "knet", socket };
  Deno.writeTextFileSync(`${dataDir}/installed-docker.json`, JSON.stringify(record));
  const it: Stage = {
    dataDir,
    answer: { status: 200, body: {} },
    seconds: 0,
    async [Symbol.asyncDispose]() {
      clock[Symbol.dispose]();
      await server.shutdown();
      Deno.removeSync(dataDir, { recursive: true });
    },
  };
  const clock = giveClock({
    wall: () => it.seconds * 1000,
    monotonic: () => it.seconds * 1000,
    after: () => ({ cancel: () => {} }),
    random: () => 0.5,
    uuid: () => "",
  });
  const server = Deno.serve({ path: socket, onListen: () => {} }, (request) => {
    assert.equal(new URL(request.url).pathname, "/networks/knet");
    return Response.json(it.answer.body, { status: it.answer.status });
  });
  return it;
}

const containers = (...addresses: string[]) => ({
  status: 200,
  body: {
    Containers: Object.fromEntries(
      addresses.map((one, n) => [`id${n}`, { IPv4Address: `${one}/24` }]),
    ),
  },
});

Deno.test("DockerReclaimer.look() frees what Docker has not known for most of a minute, and nothing else", async () => {
  await using it = stage();
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
});

Deno.test("DockerReclaimer.look() keeps what Docker knew in between, and all while Docker does not answer", async () => {
  await using it = stage();
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
});
