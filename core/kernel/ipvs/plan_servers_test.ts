import assert from "node:assert/strict";
import fc from "fast-check";
import { hiddenPart, type KernelDest, type KernelServer } from "./kernel_server.ts";
import { realServerKey } from "../../services/service.ts";
import { planServices, type ServiceOperation } from "./plan_servers.ts";

function server(port: number, dests: readonly Partial<KernelDest>[], more = {}): KernelServer {
  const list = dests.map((dest, index): KernelDest => ({
    ...{ address: `10.244.1.${index + 1}`, port: 80, forward: 0, weight: 1, upper: 0, lower: 0 },
    ...dest,
  }));
  return {
    ...{ key: `10.96.0.1 ${port} tcp`, family: 4, protocol: 6, address: "10.96.0.1", port },
    ...{ scheduler: "rr", flags: 0, timeout: 0, netmask: 32 },
    ...more,
    dests: new Map(list.map((dest) => [realServerKey(dest), dest])),
  };
}

const map = (...servers: KernelServer[]) => new Map(servers.map((one) => [one.key, one]));
const words = (operations: ServiceOperation[]) =>
  operations.map((o) =>
    o.kind === "server"
      ? `${o.verb} ${o.server.port}`
      : `${o.verb} ${o.server.port} ${o.dest.address} w${o.dest.weight}`
  );

Deno.test("planServices() says nothing where nothing differs", () => {
  assert.deepEqual(planServices(map(server(80, [{}])), map(server(80, [{}]))), []);
});

Deno.test("planServices() changes a weight by one message", () => {
  const wanted = map(server(80, [{}, { weight: 0 }, {}]));
  assert.deepEqual(words(planServices(wanted, map(server(80, [{}, {}, {}])))), [
    "change 80 10.244.1.2 w0",
  ]);
});

Deno.test("planServices() adds before it raises, raises before it lowers, and removes last", () => {
  const wanted = map(
    server(80, [{ weight: 0 }, { weight: 5 }, { address: "10.244.9.9" }], { scheduler: "wrr" }),
    server(81, [{}]),
  );
  const actual = map(server(80, [{}, {}, {}]), server(82, [{}]));
  assert.deepEqual(words(planServices(wanted, actual)), [
    "add 81",
    "add 81 10.244.1.1 w1",
    "add 80 10.244.9.9 w1",
    "change 80 10.244.1.2 w5",
    "change 80",
    "change 80 10.244.1.1 w0",
    "delete 80 10.244.1.3 w1",
    "delete 82",
  ]);
});

Deno.test("planServices() leaves a real server on the host itself that the kernel calls local", () => {
  const wanted = map(server(80, [{ forward: 3 }]));
  assert.deepEqual(planServices(wanted, map(server(80, [{ forward: 1 }]))), []);
});

/** What a kernel does with the operations: refuses what a kernel would refuse. */
function play(actual: ReadonlyMap<string, KernelServer>, operations: ServiceOperation[]) {
  const held = new Map(
    [...actual].map(([key, one]) => [key, { ...one, dests: new Map(one.dests) }]),
  );
  for (const { kind, verb, server, ...rest } of operations) {
    const present = held.get(server.key);
    if (kind === "server") {
      assert.equal(present === undefined, verb === "add");
      if (verb === "delete") held.delete(server.key);
      else held.set(server.key, { ...server, dests: present?.dests ?? new Map() });
      continue;
    }
    const { dest } = rest as { dest: KernelDest };
    assert.equal(present!.dests.has(realServerKey(dest)), verb !== "add");
    if (verb === "delete") present!.dests.delete(realServerKey(dest));
    else present!.dests.set(realServerKey(dest), dest);
  }
  return held;
}

Deno.test("planServices() leads from any state to any other", () => {
  const dests = fc.uniqueArray(
    fc.record({
      address: fc.constantFrom("10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.1.4"),
      weight: fc.nat(3),
      upper: fc.nat(1),
    }),
    { selector: (dest) => dest.address },
  );
  const servers = fc.uniqueArray(
    fc.record({
      port: fc.integer({ min: 80, max: 83 }),
      dests,
      scheduler: fc.constantFrom("rr", "sh"),
    }),
    { selector: (one) => one.port },
  ).map((list) =>
    map(...list.map(({ port, dests, scheduler }) => server(port, dests, { scheduler })))
  );
  fc.assert(fc.property(servers, servers, (wanted, actual) => {
    const reached = play(actual, planServices(wanted, actual));
    assert.deepEqual(
      new Map([...reached].sort()),
      new Map([...wanted].sort()),
    );
    assert.deepEqual(planServices(wanted, reached), []);
  }));
});

Deno.test("hiddenPart() tells apart what /proc/net/ip_vs does not", () => {
  const plain = hiddenPart(server(80, [{}, {}]));
  assert.equal(hiddenPart(server(80, [{ weight: 7 }])), plain);
  assert.notEqual(hiddenPart(server(80, [{ upper: 5 }, {}])), plain);
  assert.notEqual(hiddenPart(server(80, [{}], { flags: 0x10 })), plain);
});
