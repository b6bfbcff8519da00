/**
 * A Docker that answers by its socket as a test says, installed in a data directory, and a clock that only the test moves.
 *
 * @module
 */
import { giveClock } from "../../core/base/clock.ts";

/** The stage; what was made goes when it is disposed of. */
export interface DockerStage extends AsyncDisposable {
  readonly dataDir: string;
  /** What Docker was asked. */
  readonly asked: URL[];
  /** What it answers. */
  answer: { status: number; body: unknown };
  /** The clock. */
  seconds: number;
}

/** Sets it up, for the network `knet`. */
export function dockerStage(body: unknown): DockerStage {
  const dataDir = Deno.makeTempDirSync();
  const socket = `${dataDir}/docker.sock`;
  const record = { spec: "/etc/docker/plugins/knet.spec", network: "knet", socket };
  Deno.writeTextFileSync(`${dataDir}/installed-docker.json`, JSON.stringify(record));
  const it: DockerStage = {
    dataDir,
    asked: [],
    answer: { status: 200, body },
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
    it.asked.push(new URL(request.url));
    return Response.json(it.answer.body, { status: it.answer.status });
  });
  return it;
}
