/**
 * Acceptance 6: any number of joiners at once get a subnet each, until there is none left.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Driver } from "../support/driver.ts";
import { type Lab, STORES } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report } from "../support/wait.ts";

const PROCESSES = 20;

interface Herd {
  readonly subnets: string[];
  readonly errors: string[];
  readonly ms: number;
  readonly retries: number;
}

/** Lets `count` joiners, spread over processes, each with a connection of its own, ask at the same moment. */
async function herd(lab: Lab, count: number): Promise<Herd> {
  const host = lab.host(1);
  const drivers = await Promise.all(
    Array.from({ length: PROCESSES }, () => Driver.start(host)),
  );
  try {
    const at = Date.now() + 500;
    for (const [i, driver] of drivers.entries()) {
      const share = Math.floor(count / PROCESSES) + (i < count % PROCESSES ? 1 : 0);
      await driver.send({ do: "herd", prefix: `herd-${i}-`, count: share, at });
    }
    const answers = await Promise.all(drivers.map((driver) => driver.answer(120_000)));
    return {
      subnets: answers.flatMap((answer) => answer.subnets ?? []),
      errors: answers.flatMap((answer) => answer.errors ?? []),
      retries: answers.reduce((sum, answer) => sum + (answer.retries ?? 0), 0),
      ms: Math.max(...answers.map((answer) => answer.at)) - at,
    };
  } finally {
    for (const driver of drivers) await driver[Symbol.asyncDispose]();
  }
}

for (const store of STORES) {
  const many = labSuite({
    hosts: 1,
    store,
    setUp: (lab) => lab.init("--network 10.244.0.0/16"),
  });

  many(`6 (${store}): 200 joiners at once get 200 distinct subnets`, async (lab) => {
    if (lab.postgres !== undefined) {
      assert.equal(await lab.postgres.sql("show max_connections"), "100", "the default");
    }
    const { subnets, errors, retries, ms: time } = await herd(lab, 200);
    assert.deepEqual(errors, []);
    assert.equal(new Set(subnets).size, 200);
    report(
      `6 (${store}): 200 joiners at once, 200 subnets after ${
        ms(time)
      } (${retries} times asked again)`,
    );
  });

  const few = labSuite({
    hosts: 1,
    store,
    setUp: (lab) => lab.init("--network 10.9.8.0/24 --subnet-len 30"),
  });

  few(
    `6 (${store}): a /24 of /30 subnets gives 64 leases, and the next joiner a clear error`,
    async (lab) => {
      const { subnets, errors } = await herd(lab, 64);
      assert.deepEqual(errors, []);
      assert.equal(new Set(subnets).size, 64);
      const host = lab.host(1);
      const outcome = await host.joinOnce([], { check: false });
      assert.equal(outcome.code, 4, outcome.stderr);
      assert.match(outcome.stderr, /10\.9\.8\.0\/24.*\b64\b/);
      const left = await host.run("ip -br link");
      assert.doesNotMatch(left.stdout, /knet/, "a refused joiner leaves no device");
    },
  );
}
