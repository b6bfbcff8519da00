/**
 * Replicas of dqlite that reach each other by sockets in a folder, for tests: in this process, or one in a process of its own.
 *
 * @module
 */
import { nameOf } from "../../core/store/dqlite/identity.ts";
import { Replica, type ReplicaOptions } from "../../core/store/dqlite/replica.ts";
import type { NodeTransport } from "../../core/store/dqlite/stream.ts";
import { sleep } from "../../core/base/clock.ts";

/** Carries streams by Unix sockets, one a host, in a folder. */
export function folderTransport(folder: string): NodeTransport {
  return {
    dial: (address) =>
      Deno.connect({ transport: "unix", path: `${folder}/${nameOf(address)}.sock` }),
  };
}

/** Takes what comes for a host, until disposed of. */
export function serveFolder(folder: string, name: string, replica: Replica): Disposable {
  const path = `${folder}/${name}.sock`;
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there.
  }
  const listener = Deno.listen({ transport: "unix", path });
  void (async () => {
    for await (const stream of listener) void replica.accept(stream);
  })();
  return { [Symbol.dispose]: () => listener.close() };
}

/** A host with its replica. */
export interface TestHost extends AsyncDisposable {
  readonly replica: Replica;
  readonly directory: string;
}

/** Starts the replica of a host, in `<folder>/<name>`. */
export async function startHost(
  folder: string,
  name: string,
  more: Partial<ReplicaOptions> = {},
): Promise<TestHost> {
  const directory = `${folder}/${name}`;
  const replica = await Replica.start({
    directory,
    name,
    transport: folderTransport(folder),
    latency: 20,
    tick: 200,
    ...more,
  });
  const service = serveFolder(folder, name, replica);
  return {
    replica,
    directory,
    async [Symbol.asyncDispose]() {
      service[Symbol.dispose]();
      await replica.stop();
    },
  };
}

/** Waits until so many hosts vote, as a replica sees it. */
export async function untilVoters(replica: Replica, count: number, seconds = 30): Promise<void> {
  const voters = () => replica.cluster.members.filter(({ role }) => role === "voter").length;
  for (let tries = 0; voters() !== count; tries++) {
    if (tries > seconds * 10) {
      throw new Error(`${voters()} of ${count} vote: ${JSON.stringify(replica.cluster)}`);
    }
    await sleep(100);
  }
}

/** Three hosts that vote, in this process. */
export async function startThree(): Promise<
  { readonly folder: string; readonly hosts: readonly TestHost[] } & AsyncDisposable
> {
  const folder = await Deno.makeTempDir({ prefix: "knet-dqlite-" });
  const hosts = [await startHost(folder, "a", { begin: true })];
  for (const name of ["b", "c"]) {
    hosts.push(await startHost(folder, name, { seeds: [hosts[0]!.replica.address] }));
  }
  await untilVoters(hosts[0]!.replica, 3);
  return {
    folder,
    hosts,
    async [Symbol.asyncDispose]() {
      await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
      await Deno.remove(folder, { recursive: true });
    },
  };
}
