/**
 * Acceptance 7: clocks that are wrong, leases that were lost, machines that were cloned.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertFullMesh, containersOf, startCluster, threeVote } from "../support/cluster.ts";
import { faketime } from "../support/faketime.ts";
import { type Lab, STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";
import { converged } from "../support/walk.ts";

/** Four subnets: three for hosts, one that is reserved. */
const TINY = "--network 10.244.0.0/28 --subnet-len 30";
const RESERVED = "10.244.0.12/30";

interface LeaseRow {
  readonly nodeName: string;
  readonly subnet: string;
}

async function owners(lab: Lab): Promise<Record<string, string>> {
  const rows = await lab.host(1).knetJson<LeaseRow[] | { leases: LeaseRow[] }>("lease ls");
  const leases = Array.isArray(rows) ? rows : rows.leases;
  return Object.fromEntries(leases.map((row) => [row.subnet, row.nodeName]).sort());
}

async function tiny(lab: Lab, init: string): Promise<void> {
  const [first] = lab.hosts;
  await lab.init(`${TINY} ${init}`);
  await first!.knet(`lease reserve ${RESERVED} --public-ip 192.168.2.99`);
  const three = lab.hosts.slice(0, 3);
  await Promise.all(three.map((host) => host.join()));
  await Promise.all(three.map((host) => host.attach("c1")));
  await converged(three);
}

for (const store of STORES) {
  const skewed = labSuite({ hosts: 4, store, setUp: (lab) => tiny(lab, "") });

  for (const shift of ["+1d", "-1d"]) {
    const env = faketime(shift);

    skewed(
      `7 (${store}): a joiner whose clock is off by ${shift} takes no living node's lease`,
      async (lab) => {
        const before = await owners(lab);
        const joiner = lab.host(4);
        const outcome = await joiner.joinOnce([], { env, check: false });
        assert.equal(outcome.code, 4, outcome.stdout + outcome.stderr);
        assert.deepEqual(await owners(lab), before);
        await converged(lab.hosts.slice(0, 3));
      },
    );

    skewed(
      `7 (${store}): an agent whose clock is off by ${shift} keeps its own lease and leaves others theirs`,
      async (lab) => {
        const before = await owners(lab);
        const host = lab.host(3);
        await host.stop();
        await host.join({ env });
        await converged(lab.hosts.slice(0, 3));
        await assertFullMesh(containersOf(lab.hosts));
        assert.deepEqual(await owners(lab), before);
        // Nobody else is worried by what it wrote, either.
        await lab.host(2).stop();
        await lab.host(2).join();
        assert.deepEqual(await owners(lab), before);
        await host.stop();
        await host.join();
        await converged(lab.hosts.slice(0, 3));
        assert.deepEqual(await owners(lab), before);
      },
    );
  }

  const expiring = labSuite({ hosts: 4, store, setUp: (lab) => tiny(lab, "--lease-ttl 4") });

  expiring(`7 (${store}): the old owner of an expired, reassigned lease renumbers`, async (lab) => {
    const [first, , , fourth] = lab.hosts;
    const lost = await first!.subnet();
    const sleeper = first!.agent!;
    // Of two that vote none may stand still.
    if (lab.store === "dqlite") await threeVote(first!);
    sleeper.signal("SIGSTOP");
    try {
      await until("the fourth host gets the expired subnet", async () => {
        const outcome = await fourth!.joinOnce([], { check: false });
        if (outcome.code !== 0) throw new Error(outcome.stderr);
        return true;
      }, { deadline: 20_000, interval: 500 });
      await fourth!.join();
      assert.equal(await fourth!.subnet(), lost);
      await lab.host(2).knet(`lease release ${RESERVED} --force`);
    } finally {
      sleeper.signal("SIGCONT");
    }
    await until("the first host has another subnet", async () => await first!.subnet() !== lost);
    await converged(lab.hosts);
    assert.match(sleeper.stderr, new RegExp(lost.replaceAll(".", "\\.")), "it says so");
    const container = first!.containers[0]!;
    const address = (await container.currentAddress()) ?? "";
    assert.notEqual(address, container.address);
    first!.containers[0] = Object.assign(Object.create(container), { address });
    await fourth!.attach("c1");
    await assertFullMesh(containersOf(lab.hosts));
  });

  const cloned = labSuite({
    hosts: 1,
    store,
    setUp: async (lab) => {
      await lab.addHost({ machineId: lab.host(1).machineId });
      await startCluster(lab, { hosts: [lab.host(1)] });
    },
  });

  cloned(
    `7 (${store}): the second of two hosts with one machine-id is refused by name`,
    async (lab) => {
      const [first, clone] = lab.hosts;
      const before = await owners(lab);
      const outcome = await clone!.joinOnce([], { check: false });
      assert.equal(outcome.code, 4, outcome.stderr);
      assert.match(outcome.stderr, /\bh1\b/);
      assert.match(outcome.stderr, /\bh2\b|192\.168\.2\.102/);
      assert.match(outcome.stderr, /--node-id/);
      assert.deepEqual(await owners(lab), before);
      await clone!.join({ args: ["--node-id", "not-a-clone"] });
      await converged([first!, clone!]);
    },
  );
}
