/**
 * Two versions in one cluster: hosts are upgraded one after the other, the store with the first of them, and one goes back. The newer one
 * is made of this tree (`next_release.ts`); KNET_OLD names a binary of an older one to begin with.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { assertFullMesh, containersOf } from "../support/cluster.ts";
import { type Container, PingStream } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { type Lab, STORE_KINDS, type StoreKind } from "../support/lab.ts";
import { makeNextRelease, NEXT_VERSION } from "../support/next_release.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

const HOSTS = 3;
const OLD = Deno.env.get("KNET_OLD") ?? Deno.env.get("KNET_BIN") ??
  new URL("../../dist/knet", import.meta.url).pathname;
const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const stack = new AsyncDisposableStack();
let made: ReturnType<typeof makeNextRelease> | undefined;
const next = async () => {
  made ??= makeNextRelease().then((release) => stack.use(release));
  return (await made).binary;
};
Deno.test.afterAll(() => stack.disposeAsync());

/** What every `knet join` on a host is started with, once it has joined. */
const envOf = (store: StoreKind) => store === "dqlite" ? { env: OWN } : {};

async function begin(lab: Lab, store: StoreKind): Promise<void> {
  for (let n = 0; n < HOSTS; n++) {
    const host = await lab.addHost(store === "dqlite" ? { storeUrl: "" } : {});
    host.binary = OLD;
  }
  const [first, ...others] = lab.hosts as [Host, ...Host[]];
  if (store === "dqlite") {
    await first.join({ env: OWN });
    const token = (await first.knet("token")).stdout.trim().split(" ").at(-1)!;
    await Promise.all(others.map((host) => host.join({ args: [token] })));
    await until("all vote", async () => {
      const { store } = await first.knetJson<StatusReport>("status");
      return store.copies?.filter(({ role }) => role === "voter").length === HOSTS;
    }, { deadline: 60_000 });
  } else {
    await first.knet("init");
    await Promise.all(lab.hosts.map((host) => host.join()));
  }
  for (const host of lab.hosts) await host.attach("c1");
  await converged(lab.hosts);
}

for (const store of STORE_KINDS) {
  const test = labSuite({
    hosts: 0,
    ...(store !== "dqlite" && { store }),
    setUp: (lab) => begin(lab, store),
  });

  test(`13 (${store}): hosts are upgraded one after the other under traffic, and one goes back`, async (lab) => {
    const subnets = await Promise.all(lab.hosts.map((host) => host.subnet()));
    const [c1, c2, c3] = containersOf(lab.hosts) as [Container, Container, Container];
    const streams = await Promise.all([
      PingStream.start(c1, c2.address, 0.02),
      PingStream.start(c2, c3.address, 0.02),
      PingStream.start(c3, c1.address, 0.02),
    ]);
    await using ends = new AsyncDisposableStack();
    for (const stream of streams) ends.use(stream);
    const written: string[] = [];
    /** Each host takes a change, and all of what was ever acknowledged is there, for each of them. */
    const writeOnAll = async (round: string) => {
      for (const host of lab.hosts) {
        const name = `${round}-${host.name}`;
        const at = `10.96.${lab.hosts.indexOf(host)}.${written.length + 1}`;
        await until(`${host.name} takes ${name}`, async () => {
          await host.knet(`svc add ${name} --vip ${at} --port 80 --to ${c1.address}:80`);
          return true;
        }, { deadline: 30_000, interval: 300 });
        written.push(name);
      }
      for (const host of lab.hosts) {
        const { services } = await host.knetJson<{ services: { name: string }[] }>("svc ls");
        assert.deepEqual(services.map(({ name }) => name).sort(), written.toSorted(), host.name);
      }
    };
    const restart = async (host: Host, binary: string) => {
      await host.stop();
      host.binary = binary;
      const began = performance.now();
      await host.join(envOf(store));
      return performance.now() - began;
    };
    await writeOnAll("old");
    const times: number[] = [];
    for (const [n, host] of lab.hosts.toReversed().entries()) {
      times.push(await restart(host, await next()));
      assert.match((await host.knet("--version")).stdout, new RegExp(NEXT_VERSION));
      await writeOnAll(`next${n}`);
      await converged(lab.hosts);
    }
    // The one that is back understands what the newer ones have made of the store.
    await restart(lab.host(2), OLD);
    await writeOnAll("back");
    await converged(lab.hosts);
    assert.deepEqual(await Promise.all(lab.hosts.map((host) => host.subnet())), subnets);
    await assertFullMesh(containersOf(lab.hosts));
    const info = (await lab.host(1).knet("store info")).stdout;
    assert.match(info, /schema +5/, info);
    let sent = 0, lost = 0;
    for (const stream of streams) {
      const told = await stream.stop();
      sent += told.sent;
      lost += told.lost;
    }
    report(
      `13 (${store}): ready ${
        times.map(ms).join(", ")
      } after a start; ${lost} of ${sent} pings lost`,
    );
    assert.equal(lost, 0, `of ${sent} pings`);
    for (const host of lab.hosts) {
      const { warnings } = await host.knetJson<StatusReport>("status");
      assert.deepEqual(warnings.filter((one) => !/IPVS/.test(one)), [], host.name);
    }
  });
}
