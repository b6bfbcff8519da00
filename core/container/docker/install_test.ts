import assert from "node:assert/strict";
import { sampleState } from "../../../tests/support/samples.ts";
import { dockerStage } from "../../../tests/support/docker_stage.ts";
import { KnetError } from "../../base/error.ts";
import { writeNodeState } from "../../cluster/node_state.ts";
import { installDocker, removeDocker } from "./install.ts";
import { specText } from "./network.ts";

const network = (driver: string, subnet: string) => ({
  Options: {},
  IPAM: { Driver: driver, Config: [{ Subnet: subnet }] },
});

Deno.test("installDocker() takes nothing from another knet of the host, and makes nothing of others its own", async () => {
  const state = sampleState();
  await using stage = dockerStage(network("default", state.subnet));
  const { dataDir } = stage;
  Deno.removeSync(`${dataDir}/installed-docker.json`);
  writeNodeState(dataDir, state);
  const options = {
    ...{ network: "knet", socket: `${dataDir}/docker.sock`, specDir: dataDir },
    ...{ stateDir: dataDir, dataDir },
  };
  const refused = (pattern: RegExp) =>
    assert.rejects(
      installDocker(options),
      (error) => error instanceof KnetError && error.exitCode === 4 && pattern.test(error.message),
    );
  await refused(/there is one, not by knet/);
  await assert.rejects(Deno.stat(`${dataDir}/knet.spec`), Deno.errors.NotFound);
  assert.deepEqual(await removeDocker(dataDir), []);

  Deno.writeTextFileSync(`${dataDir}/knet.spec`, specText("/run/knet2"));
  stage.asked.length = 0;
  await refused(/knet\.spec": it is of another knet of this host, .* "\/run\/knet2"/);
  assert.equal(stage.asked.length, 0);

  Deno.removeSync(`${dataDir}/knet.spec`);
  stage.answer.body = network("knet", state.subnet);
  assert.equal((await installDocker(options)).how, "present");
  // Somebody has put his own in its place: that one stays.
  stage.answer.body = network("default", state.subnet);
  stage.asked.length = 0;
  assert.deepEqual(await removeDocker(dataDir), []);
  assert.equal(stage.asked.length, 1, "it asks whose the network is, and no more");
  await assert.rejects(Deno.stat(`${dataDir}/knet.spec`), Deno.errors.NotFound);
});
