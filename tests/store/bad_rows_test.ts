// Rows that make no sense, edited by hand or written by a newer knet: each is left out and named, the rest goes on.
import assert from "node:assert/strict";
import { addService, removeServices, setService } from "../../core/services/edit.ts";
import { byHand } from "../support/by_hand.ts";
import { engines, refusal } from "../support/store_engines.ts";
import { requestOf } from "../support/lease_driver.ts";
import { service } from "../support/services.ts";

for (const [name, start] of Object.entries(engines)) {
  Deno.test(`Rows that make no sense (${name})`, async (test) => {
    await using engine = await start();

    await test.step(`${name}: leases`, () =>
      engine.fresh({}, async (a, b, url) => {
        for (const [at, n] of ["one", "two", "three"].entries()) {
          await a.acquireLease(requestOf(n, `192.168.2.${at + 31}`));
        }
        await byHand(
          url,
          "update knet_leases set public_ip = 'nowhere' where node_id = 'one'",
          "update knet_leases set backend_data = '{' where node_id = 'two'",
        );
        const { leases, problems } = await b.listLeases();
        assert.deepEqual(leases.map(({ nodeId }) => nodeId), ["three"]);
        assert.deepEqual(problems.map(({ what }) => what).sort(), [
          'lease of node "one"',
          'lease of node "two"',
        ]);
        assert.match(
          problems.find(({ what }) => what.includes("one"))!.state,
          /publicIp.*no address/,
        );
        const { problems: told, leases: seen } = await b.changesSince(0);
        assert.deepEqual([told.length, seen.length], [2, 1]);
        // Nobody gets their subnets, and they themselves come back to them.
        const { lease } = await b.acquireLease(requestOf("four", "192.168.2.200"));
        assert.equal(lease.subnet, "10.244.3.0/24");
        const again = await b.acquireLease({
          ...requestOf("one", "192.168.2.31"),
          previousSubnet: "10.244.0.0/24",
        });
        assert.equal(again.lease.subnet, "10.244.0.0/24");
        assert.equal((await b.listLeases()).problems.length, 1);
      }));

    await test.step(`${name}: leases that no host can have`, () =>
      engine.fresh({}, async (a, b, url) => {
        const nodes = ["one", "two", "three", "four", "five"];
        for (const [at, n] of nodes.entries()) {
          await a.acquireLease(requestOf(n, `192.168.2.${at + 31}`));
        }
        const { revision } = await b.changesSince(0);
        // What would become routes to a name server, to everything, and to the underlay; and a guard that nftables refuses.
        await byHand(
          url,
          "update knet_leases set subnet = '8.8.8.8/32', revision = 90 where node_id = 'one'",
          "update knet_leases set subnet = '0.0.0.0/0', revision = 91 where node_id = 'two'",
          "update knet_leases set public_ip = '224.0.0.1', revision = 92 where node_id = 'three'",
          "update knet_leases set public_ip = 'fd00::9', revision = 93 where node_id = 'four'",
          "update knet_meta set value = 93 where name = 'revision'",
        );
        const reasons = [
          /8\.8\.8\.8\/32: it is no \/24/,
          /0\.0\.0\.0\/0: it is no \/24/,
          /224\.0\.0\.1: it is a multicast address/,
          /fd00::9: it is of IPv6/,
        ];
        for (const seen of [await b.listLeases(), await b.changesSince(0)]) {
          assert.deepEqual(seen.leases.map(({ nodeId }) => nodeId), ["five"]);
          assert.equal(seen.problems.length, 4);
          for (const reason of reasons) {
            assert.ok(seen.problems.some(({ state }) => reason.test(state)), String(reason));
          }
        }
        const later = await b.changesSince(revision);
        assert.deepEqual([later.leases.length, later.problems.length], [0, 4]);
        // One that is put right comes back.
        await byHand(
          url,
          "update knet_leases set public_ip = '192.168.2.34', revision = 94 where node_id = 'four'",
          "update knet_meta set value = 94 where name = 'revision'",
        );
        assert.deepEqual((await b.changesSince(93)).leases.map(({ nodeId }) => nodeId), ["four"]);
      }));

    await test.step(`${name}: services and real servers`, () =>
      engine.fresh({}, async (a, b, url) => {
        const put = ["one", "two", "three", "four"].map((each, n) =>
          service(each, { port: 80 + n })
        );
        await a.editServices("all", () => ({ put, result: 0 }));
        await byHand(
          url,
          "update knet_services set vip = 'x' where name = 'one'",
          `update knet_services set options = '{"scheduler":7}' where name = 'two'`,
          "update knet_destinations set weight = -1 where service = 'three' and address = '10.244.1.1'",
          `update knet_services set options = '{"scheduler":"newest","more":1}' where name = 'four'`,
        );
        const { services, problems } = await b.listServices();
        assert.deepEqual(
          services.map((one) => [one.name, one.scheduler, one.destinations.length]),
          [
            ["four", "newest", 2],
            ["three", "rr", 1],
          ],
        );
        assert.deepEqual(problems.map(({ what }) => what).sort(), [
          'real server 10.244.1.1:8080 of service "three"',
          'service "one"',
          'service "two"',
        ]);
        assert.equal((await b.getService("one")).service, undefined);
        assert.equal((await b.getService("three")).service?.destinations.length, 1);
      }));

    await test.step(`${name}: services that no kernel takes, and their removal`, () =>
      engine.fresh({}, async (a, b, url) => {
        const put = ["one", "two", "three", "four", "five"].map((each, n) =>
          service(each, { port: 80 + n })
        );
        await a.editServices("all", () => ({ put, result: 0 }));
        const { revision } = await b.changesSince(0);
        await byHand(
          url,
          "update knet_services set vip = '224.0.0.9', revision = 90 where name = 'one'",
          "update knet_services set vip = '10.244.3.3', revision = 91 where name = 'two'",
          `update knet_services set options = '{"check":{"type":"tcp","interval":0,"timeout":1000,"rise":1,"fall":1}}', revision = 92 where name = 'three'`,
          "update knet_destinations set address = '127.0.0.1' where service = 'four' and address = '10.244.1.1'",
          "update knet_services set revision = 93 where name = 'four'",
          "update knet_meta set value = 93 where name = 'revision'",
        );
        const reasons = [
          /224\.0\.0\.9: it is a multicast/,
          /10\.244\.3\.3: it is in the container network/,
          /check interval in ms 0/,
          /127\.0\.0\.1: it is a loopback/,
        ];
        for (const seen of [await b.listServices(), await b.changesSince(0)]) {
          assert.deepEqual(
            seen.services.map((one) => [one.name, one.destinations.length]),
            [["five", 2], ["four", 1]],
          );
          assert.equal(seen.problems.length, 4);
          for (const reason of reasons) {
            assert.ok(seen.problems.some(({ state }) => reason.test(state)), String(reason));
          }
        }
        // Who follows loses what is wrong, as who reads everything does.
        const later = await b.changesSince(revision);
        assert.deepEqual(later.services.map((one) => one.name), ["four"]);
        assert.deepEqual([...later.removedServices].sort(), ["one", "three", "two"]);
        // One that is put right comes back; one that is not is neither written over nor in the way of its own removal.
        await byHand(
          url,
          "update knet_services set vip = '10.96.0.10', revision = 94 where name = 'two'",
          "update knet_meta set value = 94 where name = 'revision'",
        );
        assert.deepEqual((await b.changesSince(93)).services.map((one) => one.name), ["two"]);
        const request = { vip: "10.96.0.77", port: 80 };
        const unusable = refusal(/^Cannot write service "three": the store holds "three" there/);
        await assert.rejects(addService(a, "three", request), unusable);
        await assert.rejects(
          setService(a, "three", request),
          refusal(/^Cannot change service "three": this knet cannot use it \(check interval/),
        );
        await assert.rejects(
          addService(a, "six", { vip: "10.96.0.10", port: 82 }),
          refusal(/^Cannot put service "six" at 10\.96\.0\.10:82\/tcp: the store holds "three"/),
        );
        assert.deepEqual(await removeServices(a, ["three"]), [{ name: "three" }]);
        await addService(a, "three", { vip: "10.96.0.10", port: 82 });
        assert.equal((await b.getService("three")).service?.port, 82);
      }));

    await test.step(`${name}: two services at one place`, () =>
      engine.fresh({}, async (a, b, url) => {
        const put = ["one", "two"].map((each, n) => service(each, { port: 80 + n }));
        await a.editServices("all", () => ({ put, result: 0 }));
        await byHand(
          url,
          "drop index knet_services_endpoint",
          "update knet_services set port = 80, revision = 50 where name = 'two'",
          "update knet_meta set value = 50 where name = 'revision'",
        );
        for (const since of [0, 49]) {
          const { services, problems } = await b.changesSince(since);
          assert.deepEqual(services.map((one) => one.name), ["one"]);
          assert.match(problems[0]!.state, /"one", which is older, has 10\.96\.0\.10:80\/tcp/);
        }
        assert.deepEqual((await b.changesSince(49)).removedServices, ["two"]);
        const { revision } = await b.changesSince(0);
        await removeServices(a, ["one"]);
        assert.deepEqual(
          (await b.changesSince(revision)).services.map((one) => one.name),
          ["two"],
        );
      }));

    await test.step(`${name}: texts without an end`, () =>
      engine.fresh({}, async (a, b, url) => {
        await a.acquireLease(requestOf("one", "192.168.2.31"));
        await a.acquireLease(requestOf("two", "192.168.2.32"));
        await a.editServices("all", () => ({ put: [service("web")], result: 0 }));
        const long = "x".repeat(200_000);
        await byHand(
          url,
          `update knet_leases set node_name = '${long}' where node_id = 'one'`,
          `update knet_services set options = '{"scheduler":"${long}"}' where name = 'web'`,
        );
        const { leases, problems } = await b.listLeases();
        assert.deepEqual(leases.map(({ nodeId }) => nodeId), ["two"]);
        assert.ok(JSON.stringify(problems).length < 1000);
        const listed = await b.listServices();
        assert.equal(listed.services.length, 0);
        assert.ok(JSON.stringify(listed.problems).length < 1000);
        // What nobody can read can be given back.
        const lease = await a.releaseLease("one", { force: true });
        assert.equal(lease.subnet, "10.244.0.0/24");
        assert.equal((await b.listLeases()).problems.length, 0);
      }));

    await test.step(`${name}: timeouts and configuration`, () =>
      engine.fresh({}, async (a, b, url) => {
        const timeouts = { tcp: 900, tcpfin: 30, udp: 60 };
        await a.editServices("all", () => ({ timeouts, result: 0 }));
        await byHand(url, "update knet_service_timeouts set document = '[]'");
        const listed = await b.listServices();
        assert.deepEqual(listed.timeouts, { tcp: 0, tcpfin: 0, udp: 0 });
        assert.deepEqual(listed.problems.map(({ what }) => what), ["timeouts of services"]);
        await byHand(
          url,
          `update knet_service_timeouts set document = '{"tcp":-1,"tcpfin":0,"udp":0}'`,
        );
        assert.match((await b.listServices()).problems[0]!.state, /timeout tcp -1/);
        await byHand(url, `update knet_config set document = '{"network":"10.244.0.0/16"}'`);
        const refused = refusal(/^Cannot use the cluster configuration in the store: it has no /);
        await assert.rejects(b.getConfig(), refused);
        await assert.rejects(b.changesSince(0), refused);
      }));
  });
}
