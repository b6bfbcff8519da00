/**
 * A host that had a vote, and comes back when its place was taken and none of those that hold the store is one that it knows.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";

const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const test = labSuite({
  hosts: 0,
  setUp: async (lab) => {
    for (let n = 0; n < 5; n++) await lab.addHost({ storeUrl: "" });
  },
});

async function roleOf(host: Host, from: Host): Promise<string | undefined> {
  const { store } = await from.knetJson<StatusReport>("status");
  return store.copies?.find(({ name }) => name === host.name)?.role;
}

/** Waits until a host votes, as another one sees it. */
const votes = (host: Host, from: Host, seconds: number) =>
  until(`${host.name} votes`, async () => await roleOf(host, from) === "voter", {
    deadline: seconds * 1000,
  });

test("a voter that was away for longer than its place was kept gets a copy again, from hosts that it never knew", async (lab) => {
  const [h1, h2, h3, h4, h5] = lab.hosts as [Host, Host, Host, Host, Host];
  await h1.join({ env: OWN });
  const token = (await h1.knet("token")).stdout.trim().split(" ").at(-1)!;
  for (const host of [h2, h3]) await host.join({ args: [token] });
  await votes(h3, h1, 30);
  await h3.stop("SIGKILL");
  for (const host of [h4, h5]) await host.join({ args: [token] });
  await until("h3 votes no more", async () => await roleOf(h3, h1) === "spare", {
    deadline: 90_000,
  });
  await h1.leave();
  for (const host of [h4, h5]) await votes(host, h4, 30);
  await h2.leave();
  const begin = performance.now();
  await h3.join({ env: OWN, wait: false });
  await until(
    "h3 has a copy",
    async () => ["voter", "standby"].includes(await roleOf(h3, h4) ?? ""),
    {
      deadline: 60_000,
    },
  );
  report(`13: a voter that was away has a copy again after ${ms(performance.now() - begin)}`);
  await until("and takes changes", async () => {
    const line = "svc add back --vip 10.96.0.9 --port 80 --to 10.244.0.2:80";
    return (await h3.knet(line, { check: false })).code === 0;
  }, { deadline: 30_000 });
  assert.ok((await h4.knet("svc ls")).stdout.includes("back"));
});
