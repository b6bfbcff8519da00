// The contract for services, both engines.
// Longer than others: the contract of one table, on each engine.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import type { Destination, Service } from "../../core/services/service.ts";
import type { LeaseRequest, Store } from "../../core/store/store.ts";
import { enginesAndModel, refusal } from "../support/store_engines.ts";
import { KnetError } from "../../core/base/error.ts";

function destination(n: number, more: Partial<Destination> = {}): Destination {
  return { address: `10.244.0.${n}`, port: 8080, weight: 1, upper: 0, lower: 0, ...more };
}

function service(name: string, more: Partial<Service> = {}): Service {
  return {
    name,
    vip: "10.96.0.10",
    port: 80,
    family: 4,
    protocol: "tcp",
    scheduler: "rr",
    schedulerFlags: [],
    forward: "nat",
    persistent: 0,
    persistenceNetmask: 32,
    onePacket: false,
    masquerade: "auto",
    check: { type: "none" },
    onEmpty: "keep",
    drainTimeout: 300,
    destinations: [destination(1), destination(2)],
    revision: 0,
    ...more,
  };
}

/** What a host asks for that joins at an address. */
function host(publicIp: string, more: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    nodeId: "node-1",
    family: 4,
    nodeName: "n1",
    publicIp,
    backend: "vxlan",
    bootId: "boot",
    agentId: "agent",
    backendData: () => ({}),
    ...more,
  };
}

const put = (store: Store, ...services: Service[]) =>
  store.editServices(
    { names: services.map(({ name }) => name) },
    () => ({ put: services, result: undefined }),
  );

/** Without what the store sets. */
const plain = (services: readonly Service[]) => services.map((one) => ({ ...one, revision: 0 }));

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`Store, services (${name})`, async (test) => {
    await using engine = await start();
    const check = (
      sentence: string,
      run: (a: Store, b: Store) => Promise<void>,
      request: Parameters<typeof makeClusterConfig>[0] = {},
    ) => test.step(`${name}: ${sentence}`, () => engine.fresh(request, run));

    await check("editServices() writes what listServices() reads", async (a, b) => {
      const all = [
        service("db", {
          vip: "fd00::10",
          family: 6,
          protocol: "sctp",
          scheduler: "mh",
          schedulerFlags: ["mh-fallback", "mh-port"],
          forward: "tunnel",
          persistent: 3600,
          persistenceNetmask: 64,
          masquerade: "never",
          onEmpty: "reject",
          drainTimeout: 0,
          check: { type: "http", path: "/up", interval: 500, timeout: 200, rise: 3, fall: 1 },
          destinations: [{
            address: "fd00::1",
            port: 80,
            weight: 65535,
            upper: 4294967295,
            lower: 7,
            draining: { deadline: 4e12 },
          }],
        }),
        service("web"),
        service("web-udp", { protocol: "udp", onePacket: true, destinations: [] }),
      ];
      await put(a, ...all);
      assert.deepEqual(plain((await b.listServices()).services), all);
    });

    await check("editServices() shows the services of its scope, and no others", async (a) => {
      await put(
        a,
        service("web"),
        service("tls", { port: 443 }),
        service("db", { vip: "10.96.0.11" }),
        service("mail", { vip: "10.96.0.12" }),
      );
      const seen = async (scope: Parameters<Store["editServices"]>[0]) =>
        (await a.editServices(scope, ({ services }) => ({ result: [...services.keys()].sort() })))
          .result;
      assert.deepEqual(await seen("all"), ["db", "mail", "tls", "web"]);
      assert.deepEqual(await seen({ names: ["tls"] }), ["tls", "web"]);
      assert.deepEqual(await seen({ names: ["new"], vips: ["10.96.0.11"] }), ["db"]);
      assert.deepEqual(await seen({ names: ["new"] }), []);
    });

    await check("editServices() shows the hosts that have one of the addresses", async (a) => {
      await a.acquireLease(host("192.168.2.1"));
      const hosts = async (...vips: string[]) =>
        (await a.editServices({ names: [], vips }, ({ hosts }) => ({ result: hosts }))).result;
      assert.deepEqual(await hosts("192.168.2.2"), []);
      assert.deepEqual(await hosts("192.168.2.1"), [{ nodeName: "n1", publicIp: "192.168.2.1" }]);
    });

    await check("initConfig() refuses a network with a virtual IP in it", async (a) => {
      await put(a, service("web"), service("tls", { port: 443 }));
      const config = (await a.getConfig())!;
      const wide = makeClusterConfig({
        network: "10.64.0.0/10",
        serviceNetwork: "10.32.0.0/16",
      });
      await assert.rejects(
        () => a.initConfig(wide, { replace: true }),
        refusal(
          /network 10\.64\.0\.0\/10: the virtual IP 10\.96\.0\.10 of service "\w+" is in it, and 1 more/,
        ),
      );
      assert.deepEqual(await a.getConfig(), config);
      await a.initConfig(makeClusterConfig({ network: "10.32.0.0/16" }), { replace: true });
    });

    await check("reserveLease() refuses a virtual IP as a host's address", async (a, b) => {
      await put(a, service("web"), service("tls", { port: 443 }));
      const { revision } = await a.listLeases();
      await assert.rejects(
        b.reserveLease("10.244.3.0/24", "10.96.0.10"),
        refusal(
          /^Cannot reserve 10\.244\.3\.0\/24: 10\.96\.0\.10 is the virtual IP of service "tls" and 1 more$/,
        ),
      );
      assert.equal((await a.listLeases()).revision, revision);
      await a.editServices("all", () => ({ remove: ["web", "tls"], result: 0 }));
      await b.reserveLease("10.244.3.0/24", "10.96.0.10");
    });

    await check(
      "acquireLease() refuses a virtual IP to a host that is new or moves",
      async (a, b) => {
        await put(a, service("web"));
        const refused = refusal(
          /^Cannot join as "n1" \(10\.96\.0\.10\): 10\.96\.0\.10 is the virtual IP of service "web"$/,
        );
        await assert.rejects(b.acquireLease(host("10.96.0.10")), refused);
        const { lease } = await b.acquireLease(host("192.168.2.1"));
        await assert.rejects(b.acquireLease(host("10.96.0.10")), refused);
        assert.deepEqual((await b.listLeases()).leases, [lease]);
      },
    );

    await check("a host that has a virtual IP as its address keeps its lease", async (a, b) => {
      await put(a, service("web"));
      const { lease } = await b.acquireLease(host("192.168.2.1"));
      const renewal = await b.renewLease({ ...lease, publicIp: "10.96.0.10" });
      assert.equal(renewal.state, "renewed");
      const again = await b.acquireLease(host("10.96.0.10", { agentId: "restarted" }));
      assert.deepEqual([again.how, again.lease.subnet], ["kept", lease.subnet]);
    });

    await check("editServices() raises the revision once, and only for a change", async (a) => {
      const { revision: before } = await a.listServices();
      const { revision } = await put(a, service("web"), service("tls", { port: 443 }));
      assert.equal(revision, before + 1);
      assert.equal(
        (await a.editServices("all", () => ({ result: 0 }))).revision,
        before + 1,
      );
    });

    await check("editServices() that throws leaves the store as it was", async (a) => {
      await put(a, service("web"));
      const { revision } = await a.listServices();
      const failing = a.editServices("all", () => {
        throw new KnetError("Cannot: it is refused", { exitCode: 4 });
      });
      await assert.rejects(failing, refusal(/it is refused/));
      assert.equal((await a.listServices()).revision, revision);
    });

    await check("editServices() lets two services exchange their addresses", async (a, b) => {
      await put(a, service("one"), service("two", { port: 81 }));
      await put(a, service("one", { port: 81 }), service("two"));
      assert.deepEqual(
        (await b.listServices()).services.map((one) => [one.name, one.port]),
        [["one", 81], ["two", 80]],
      );
    });

    await check("editServices() loses none of 40 edits at once", async (a, b) => {
      await put(a, service("web", { destinations: [] }));
      await Promise.all(
        Array.from(
          { length: 40 },
          (_, n) =>
            (n % 2 ? a : b).editServices({ names: ["web"] }, ({ services }) => {
              const old = services.get("web")!;
              return {
                put: [{ ...old, destinations: [...old.destinations, destination(n + 1)] }],
                result: 0,
              };
            }),
        ),
      );
      assert.equal((await a.listServices()).services[0]!.destinations.length, 40);
    });

    await check("changesSince() tells changed and removed services only", async (a, b) => {
      await put(a, service("web"), service("tls", { port: 443 }), service("db", { port: 3306 }));
      const first = await b.changesSince(0);
      assert.equal(first.full, true);
      assert.deepEqual(first.services.map((one) => one.name), ["db", "tls", "web"]);
      await put(a, service("web", { destinations: [destination(9)] }));
      await a.editServices({ names: ["db"] }, () => ({ remove: ["db"], result: 0 }));
      const { full, services, removedServices, revision, timeouts } = await b.changesSince(
        first.revision,
      );
      assert.equal(full, false);
      assert.deepEqual(plain(services), [service("web", { destinations: [destination(9)] })]);
      assert.deepEqual(removedServices, ["db"]);
      assert.equal(timeouts, undefined);
      assert.deepEqual((await b.changesSince(revision)).services, []);
    });

    await check("changesSince() tells of a service that came back, not that it went", async (a) => {
      await put(a, service("web"));
      const { revision } = await a.changesSince(0);
      await a.editServices({ names: ["web"] }, () => ({ remove: ["web"], result: 0 }));
      await put(a, service("web", { port: 81 }));
      const changes = await a.changesSince(revision);
      assert.deepEqual(changes.services.map((one) => one.port), [81]);
      assert.deepEqual(changes.removedServices, []);
    });

    await check("changesSince() tells timeouts when they change", async (a, b) => {
      assert.deepEqual((await b.changesSince(0)).timeouts, { tcp: 0, tcpfin: 0, udp: 0 });
      const { revision } = await b.changesSince(0);
      const timeouts = { tcp: 900, tcpfin: 30, udp: 60 };
      await a.editServices("all", () => ({ timeouts, result: 0 }));
      assert.deepEqual((await b.changesSince(revision)).timeouts, timeouts);
      assert.deepEqual((await b.listServices()).timeouts, timeouts);
    });

    await check(
      "sweepDrained() deletes what has drained, and readers learn of it",
      async (a, b) => {
        await put(
          a,
          service("web", {
            destinations: [
              destination(1),
              destination(2, { draining: { deadline: 1 } }),
              destination(3, { draining: { deadline: 4e12 } }),
            ],
          }),
        );
        const seen = await a.editServices("all", ({ services }) => ({
          result: services.get("web")!.destinations.map((one) => one.address),
        }));
        assert.deepEqual(seen.result, ["10.244.0.1", "10.244.0.3"]);
        const { revision } = await b.changesSince(0);
        assert.deepEqual(await a.sweepDrained(), ["web"]);
        assert.deepEqual(await b.sweepDrained(), []);
        const [changed] = (await b.changesSince(revision)).services;
        assert.deepEqual(changed!.destinations.map((one) => one.address), [
          "10.244.0.1",
          "10.244.0.3",
        ]);
      },
    );

    await check("5,000 services of 10 destinations are written and read", async (a, b) => {
      const all = Array.from({ length: 5000 }, (_, n) =>
        service(`s${String(n).padStart(4, "0")}`, {
          vip: `10.96.${n >> 8}.${n & 255}`,
          destinations: Array.from({ length: 10 }, (_, m) => destination(m + 1)),
        })).map((one) => ({
          ...one,
          destinations: one.destinations.toSorted((x, y) => x.address < y.address ? -1 : 1),
        }));
      const began = performance.now();
      await a.editServices("all", () => ({ put: all, result: 0 }));
      const written = performance.now();
      const { services } = await b.listServices();
      const read = performance.now();
      assert.deepEqual(plain(services), all);
      console.log(
        `report: ${name}: 5,000 x 10 written in ${(written - began).toFixed(0)} ms, read in ${
          (read - written).toFixed(0)
        } ms`,
      );
    });
  });
}
