import assert from "node:assert/strict";
import { type DockerStage, dockerStage } from "../../../tests/support/docker_stage.ts";
import { writeHeld } from "../held.ts";
import { DockerNames, readDockerList } from "./names.ts";

const listed = (name: string, address: string, more = {}) => ({
  Id: `id-${name}`,
  Names: [`/other/alias`, `/${name}`],
  Labels: { app: name },
  Ports: [],
  NetworkSettings: { Networks: { knet: { IPAddress: address } } },
  ...more,
});

Deno.test("readDockerList() knows name, id, labels and published ports of those that have an address", () => {
  const ports = [
    { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { IP: "127.0.0.1", PrivatePort: 53, PublicPort: 5300, Type: "udp" },
    { PrivatePort: 443, Type: "tcp" },
    { IP: "0.0.0.0", PrivatePort: 1, PublicPort: 2, Type: "new" },
  ];
  const text = JSON.stringify([
    listed("web", "10.244.0.2", { Ports: ports }),
    listed("elsewhere", "", {}),
    { Id: "bare", Names: null, Labels: null, Ports: null, NetworkSettings: null },
    { Id: "none", NetworkSettings: { Networks: { knet: { IPAddress: "10.244.0.3" } } } },
  ]);
  assert.deepEqual([...readDockerList(text, "knet")], [
    ["10.244.0.2", {
      ...{ name: "web", containerId: "id-web", labels: { app: "web" } },
      ports: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 5300, containerPort: 53, protocol: "udp", hostIp: "127.0.0.1" },
      ],
    }],
    ["10.244.0.3", { name: "", containerId: "none", labels: {}, ports: [] }],
  ]);
  assert.deepEqual([...readDockerList(text, "another")], []);
  for (const none of ["", "{}", "[1]", '[{"Id":1}]']) {
    assert.throws(() => readDockerList(none, "knet"));
  }
});

const bookOf = ({ dataDir }: DockerStage) => ({ dataDir, bootId: "a" });

Deno.test("DockerNames asks only for what Docker holds, soon again as long as a name is missing, and then seldom", async () => {
  await using it = dockerStage([]);
  const place = bookOf(it);
  const names = new DockerNames(place);
  const look = async (seconds: number) => {
    it.seconds = seconds;
    await names.look();
    return it.asked.length;
  };
  assert.equal(await look(0), 0, "nobody is there");
  writeHeld(place, [{ address: "10.244.0.2", runtime: "docker" }]);
  assert.equal(await look(1), 1);
  assert.deepEqual(
    it.asked.map(({ pathname, searchParams }) => `${pathname} ${searchParams.get("filters")}`),
    ['/containers/json {"network":["knet"]}'],
  );
  assert.equal(names.named.size, 0);
  assert.equal(await look(2), 1);
  it.answer.body = [listed("web", "10.244.0.2")];
  assert.equal(await look(3), 2);
  assert.equal(names.named.get("10.244.0.2")?.name, "web");
  const { version } = names;
  assert.equal(await look(50), 2);
  it.answer.body = [listed("renamed", "10.244.0.2")];
  assert.equal(await look(64), 3);
  assert.notEqual(names.version, version);
  // Another one came: at once.
  writeHeld(
    place,
    ["10.244.0.2", "10.244.0.3"].map((address) => ({ address, runtime: "docker" })),
  );
  assert.equal(await look(66), 4);
  // It never tells: less and less often.
  for (let second = 67; second < 400; second++) await look(second);
  assert.ok(it.asked.length < 16, `${it.asked.length}`);
});

Deno.test("DockerNames keeps what it knows where Docker answers nonsense or is gone", async () => {
  await using it = dockerStage([]);
  const place = bookOf(it);
  const names = new DockerNames(place);
  writeHeld(place, [{ address: "10.244.0.2", runtime: "docker" }]);
  it.answer.body = [listed("web", "10.244.0.2")];
  await names.look();
  it.answer.body = { message: "busy" };
  it.seconds = 100;
  await names.look();
  Deno.removeSync(`${it.dataDir}/docker.sock`);
  it.seconds = 300;
  await names.look();
  assert.equal(names.named.get("10.244.0.2")?.name, "web");
  assert.equal(it.asked.length, 2);
});
