import assert from "node:assert/strict";
import fc from "fast-check";
import { prefixContains, prefixesOverlap } from "../base/address.ts";
import {
  allocate,
  type Applicant,
  clockIsSuspect,
  isExpired,
  isLeasable,
  isUntaken,
  subnetCount,
} from "./allocate.ts";
import { KnetError } from "../base/error.ts";
import type { Lease } from "./lease.ts";
import { sampleConfig, sampleLease } from "../../tests/support/samples.ts";

const TTL = 1000;
/** Four subnets, so that everything happens soon. */
const small = sampleConfig({ network: "10.244.0.0/24", subnetLen: 26, leaseTtl: TTL / 1000 });
const small6 = sampleConfig({ network: "fd00::/56", subnetLen: 58, leaseTtl: TTL / 1000 });

const applicant = (n: number, more: Partial<Applicant> = {}): Applicant => ({
  nodeId: `n${n}`,
  nodeName: `node ${n}`,
  publicIp: `192.168.2.${n}`,
  agentId: `agent-n${n}`,
  ...more,
});

function refused(run: () => unknown, pattern: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, 4);
    assert.match(error.message, pattern);
    assert.ok(error.remedy);
    return true;
  });
}

/** Rows as the store has them after an allocation. */
function after(leases: readonly Lease[], who: Applicant, now: number, config = small): Lease[] {
  const { subnet, reserved, replaces } = allocate(config, leases, who, now, true);
  return [
    ...leases.filter((lease) => lease.nodeId !== who.nodeId && lease !== replaces),
    sampleLease({ ...who, subnet, reserved, renewed: now, expires: now + TTL }),
  ];
}

Deno.test("allocate() gives the first free subnet", () => {
  const leases = [
    sampleLease({ nodeId: "n9", subnet: "10.244.0.0/26", expires: 99 }),
    sampleLease({ nodeId: "n8", subnet: "10.244.0.128/26", expires: 99 }),
  ];
  assert.deepEqual(allocate(small, leases, applicant(1), 0, true), {
    subnet: "10.244.0.64/26",
    how: "new",
    reserved: false,
  });
});

Deno.test("allocate() gives a node its old subnet, also after expiry and with a new address and agent", () => {
  const own = sampleLease({ nodeId: "n1", subnet: "10.244.0.128/26", expires: 10 });
  const back = applicant(1, { publicIp: "192.168.9.9", agentId: "another" });
  assert.equal(allocate(small, [own], back, 10, true).how, "kept");
  assert.equal(allocate(small, [own], back, 10, false).subnet, own.subnet);
});

Deno.test("allocate() gives a node the subnet it remembers if that is free and leasable", () => {
  const previous = applicant(1, { previousSubnet: "10.244.0.192/26" });
  assert.equal(allocate(small, [], previous, 0, true).subnet, "10.244.0.192/26");
  const taken = [sampleLease({ nodeId: "n2", subnet: "10.244.0.192/26" })];
  assert.equal(allocate(small, taken, previous, 0, true).subnet, "10.244.0.0/26");
  const foreign = applicant(1, { previousSubnet: "10.9.0.0/26" });
  assert.equal(allocate(small, [], foreign, 0, true).subnet, "10.244.0.0/26");
});

Deno.test("allocate() gives a reservation to the address it is for, and to nobody else", () => {
  const reservation = sampleLease({
    nodeId: "reserved-x",
    subnet: "10.244.0.0/26",
    publicIp: "192.168.2.1",
    agentId: "",
    reserved: true,
    expires: 0,
  });
  const taken = allocate(small, [reservation], applicant(1), 500, true);
  assert.deepEqual(taken, {
    subnet: "10.244.0.0/26",
    how: "reserved",
    reserved: true,
    replaces: reservation,
  });
  assert.equal(allocate(small, [reservation], applicant(2), 500, true).subnet, "10.244.0.64/26");
});

Deno.test("allocate() gives away the lease that expired longest ago, only when nothing else is free", () => {
  const subnets = ["10.244.0.0/26", "10.244.0.64/26", "10.244.0.128/26", "10.244.0.192/26"];
  const leases = subnets.map((subnet, index) =>
    sampleLease({ nodeId: `o${index}`, subnet, expires: [900, 40, 20, 60][index]! })
  );
  assert.deepEqual(allocate(small, leases, applicant(1), 100, true), {
    subnet: "10.244.0.128/26",
    how: "reassigned",
    reserved: false,
    replaces: leases[2],
  });
  assert.equal(allocate(small, leases.slice(1), applicant(1), 100, true).how, "new");
  refused(() => allocate(small, leases, applicant(1), 10, true), /all 4 are taken/);
  refused(() => allocate(small, leases, applicant(1), 100, false), /all 4 are taken/);
});

Deno.test("allocate() refuses a node id that another living agent holds at another address, naming both", () => {
  const own = sampleLease({
    nodeId: "n1",
    nodeName: "first",
    subnet: "10.244.0.64/26",
    publicIp: "192.168.2.77",
    expires: 100,
  });
  const clone = applicant(1, { agentId: "clone" });
  refused(
    () => allocate(small, [own], clone, 50, true),
    /node 1.*192\.168\.2\.1.*first.*192\.168\.2\.77/,
  );
  assert.equal(allocate(small, [own], clone, 100, true).how, "kept", "a dead one is no clone");
  const reinstalled = { ...clone, publicIp: own.publicIp };
  assert.equal(allocate(small, [own], reinstalled, 50, true).how, "kept");
});

Deno.test("isLeasable() holds from the first to the last subnet of the configuration", () => {
  const config = sampleConfig({
    network: "10.244.0.0/16",
    subnetMin: "10.244.2.0",
    subnetMax: "10.244.5.0",
  });
  assert.equal(subnetCount(config), 4n);
  const can = (subnet: string) => isLeasable(config, subnet);
  assert.deepEqual(
    ["10.244.1.0/24", "10.244.2.0/24", "10.244.5.0/24", "10.244.6.0/24", "10.244.2.0/25"].map(can),
    [false, true, true, false, false],
  );
});

Deno.test("isExpired() never holds of a reservation, isUntaken() only of one nobody took", () => {
  assert.ok(isExpired(sampleLease({ expires: 5 }), 5));
  assert.ok(!isExpired(sampleLease({ expires: 6 }), 5));
  assert.ok(!isExpired(sampleLease({ expires: 0, reserved: true }), 5));
  assert.ok(isUntaken(sampleLease({ reserved: true, agentId: "" })));
  assert.ok(!isUntaken(sampleLease({ reserved: true })));
});

Deno.test("clockIsSuspect() compares with the newest renewal of another node", () => {
  const config = sampleConfig({ leaseTtl: 1000 });
  const at = (renewed: number, nodeId = "n2") => sampleLease({ nodeId, renewed });
  assert.ok(!clockIsSuspect(config, [], "n1", 5e9), "nobody to compare with");
  assert.ok(!clockIsSuspect(config, [at(0, "n1")], "n1", 5e9), "its own renewal says nothing");
  assert.ok(!clockIsSuspect(config, [at(0), at(1e6)], "n1", 1_500_000));
  assert.ok(clockIsSuspect(config, [at(0), at(1e6)], "n1", 1_500_001), "ahead");
  assert.ok(clockIsSuspect(config, [at(1e6)], "n1", 749_999), "behind");
});

interface Step {
  readonly node: number;
  readonly wait: number;
}

Deno.test("allocate() never lets two living nodes share, keeps what it gave, and respects reservations", () => {
  const step: fc.Arbitrary<Step> = fc.record({
    node: fc.integer({ min: 1, max: 7 }),
    wait: fc.constantFrom(0, 1, TTL / 2, TTL - 1, TTL, 2 * TTL),
  });
  for (const config of [small, small6]) {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const reservation = sampleLease({
          nodeId: "reserved",
          agentId: "",
          reserved: true,
          publicIp: "192.168.2.7",
          subnet: allocate(config, [], applicant(7), 0, true).subnet,
        });
        let leases: Lease[] = [reservation];
        let now = 0;
        for (const { node, wait } of steps) {
          now += wait;
          const old = leases.find((lease) => lease.nodeId === `n${node}`);
          const who = applicant(node);
          const living = leases.filter((lease) => !isExpired(lease, now));
          const free = leases.length < 4;
          let next: Lease[];
          try {
            next = after(leases, who, now, config);
          } catch (error) {
            assert.ok(error instanceof KnetError);
            assert.equal(old, undefined, "who has a lease keeps it");
            assert.equal(living.length, 4, "refused only when all are held by the living");
            continue;
          }
          const got = next.find((lease) => lease.nodeId === who.nodeId)!;
          assert.ok(prefixContains(config.network, got.subnet));
          if (old !== undefined) assert.equal(got.subnet, old.subnet, "the old subnet comes back");
          for (const lease of living) {
            if (lease.nodeId === who.nodeId || (isUntaken(lease) && node === 7)) continue;
            assert.ok(next.includes(lease), "no living node lost its row");
            assert.ok(!prefixesOverlap(lease.subnet, got.subnet), `${lease.nodeId} and ${node}`);
          }
          const gone = leases.filter((lease) =>
            lease.nodeId !== who.nodeId && !next.includes(lease)
          );
          for (const lease of gone) {
            if (isUntaken(lease)) assert.equal(lease.publicIp, who.publicIp);
            else {
              assert.ok(isExpired(lease, now));
              assert.ok(!free, "an expired lease went although something was free");
            }
          }
          leases = next;
          assert.equal(new Set(leases.map((lease) => lease.subnet)).size, leases.length);
        }
      }),
      { numRuns: 300 },
    );
  }
});
