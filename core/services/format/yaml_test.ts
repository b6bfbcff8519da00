import assert from "node:assert/strict";
import fc from "fast-check";
import { anyServices, service } from "../../../tests/support/services.ts";
import { KnetError } from "../../base/error.ts";
import { NO_TIMEOUTS } from "../service.ts";
import { readServicesYaml } from "./yaml.ts";
import { writeServicesYaml } from "./yaml_write.ts";

const GOOD = `# what we run
timeouts:
  tcp: 15m
services:
  - name: web
    vip: 10.96.0.10
    port: 80
    check: http:/up
    check-interval: 500ms
    to:
      - 10.244.0.5:8080,weight=3
      - address: 10.244.1.7
        port: 8080
  - name: dns
    vip: 10.96.0.53
    port: 53
    protocol: udp
    scheduler: sh
    scheduler-flags: [sh-port]
    persistent: 5m
`;

Deno.test("readServicesYaml() reads services in both spellings of real servers", async () => {
  const { services, timeouts } = await readServicesYaml(GOOD, "a");
  assert.deepEqual(timeouts, { tcp: 900 });
  const [web, dns] = services;
  assert.deepEqual(web!.destinations.map((one) => [one.address, one.port, one.weight]), [
    ["10.244.0.5", 8080, 3],
    ["10.244.1.7", 8080, 1],
  ]);
  assert.deepEqual(web!.check, {
    type: "http",
    path: "/up",
    interval: 500,
    timeout: 500,
    rise: 2,
    fall: 2,
  });
  assert.deepEqual([dns!.protocol, dns!.schedulerFlags, dns!.persistent], [
    "udp",
    ["sh-port"],
    300,
  ]);
});

/** A change of the good text, and the message it leads to. */
const BAD: readonly [from: string, to: string, message: RegExp][] = [
  ["    port: 80\n", "    port: 80\n  port: [\n", /line 8: /],
  ["    port: 80\n", "    port: 80\n    port: 81\n", /line 8: map keys must be unique/],
  ["port: 80\n", "port: http\n", /line 7: "http" is not a whole number$/],
  ["port: 80\n", "ports: 80\n", /line 7: a service has no "ports": give name, vip/],
  ["services:", "service:", /line 4: a document of services has no "service"/],
  ["name: web", "vipp: web", /line 5: a service has no "vipp"/],
  ["  - name: dns\n    vip", "  - vip", /line 14: the service has no name/],
  ["name: dns", "name: web", /line 14: "web" is there twice/],
  ["vip: 10.96.0.53", "vip: 10.96.0", /line 15: cannot use virtual IP "10\.96\.0"/],
  ["    port: 53\n", "", /line 14: cannot use the service: it has no port/],
  ["scheduler: sh", "scheduler: fair", /line 18: cannot use scheduler "fair"/],
  ["[sh-port]", "[mh-port]", /line 19: cannot use scheduler flag "mh-port"/],
  ["persistent: 5m", "persistent: 5 minutes", /line 20: "5 minutes" is not a span of time/],
  ["check: http:/up", "check: ping", /line 8: "ping" is not a check/],
  ["check-interval: 500ms", "check-interval: 1ms", /line 9: cannot use check interval in ms 1/],
  ["weight=3", "weight=99999", /line 11: cannot use weight 99999 of 10\.244\.0\.5:8080/],
  ["weight=3", "wait=3", /line 11: .* is not a real server/],
  ["        port: 8080\n", "        port: 80800\n", /line 13: cannot use port 80800/],
  ["tcp: 15m", "tcp: -5", /line 3: -5 is not a span/],
  ["tcp: 15m", "tpc: 15m", /line 3: timeouts has no "tpc"/],
  ["tcp: 15m", "tcp: 100d", /line 3: cannot use timeout tcp 8640000/],
  ["tcp: 15m", "tcp: 1500ms", /line 3: "1500ms" is not a whole number of seconds$/],
  ["port: 80\n", "port: 80.5\n", /line 7: 80\.5 is not a whole number$/],
  ["port: 80\n", "port:\n", /line 7: null is not a whole number$/],
  ["port: 80\n", "constructor: 80\n", /line 7: a service has no "constructor": give name/],
  ["[sh-port]", "7", /line 19: 7 is not a list$/],
  ["[sh-port]", "[7]", /line 19: 7 is not a text$/],
  [
    "        port: 8080\n",
    "        one-packet: 8080\n",
    /line 13: a real server has no "one-packet": give address, port/,
  ],
  ["- address: 10.244.1.7", "- weight: 7", /line 12: the real server has no address$/],
  [
    "- 10.244.0.5:8080,weight=3",
    "- 7",
    /line 11: 7 is not a real server: it has no "name: value" lines$/,
  ],
  ["- 10.244.0.5:8080,weight=3", "- [7]", /line 11: \[7\] is not a real server/],
  [
    "services:\n",
    "services:\n  - web\n",
    /line 5: "web" is not a service: it has no "name: value" lines$/,
  ],
];

Deno.test("readServicesYaml() names the first of several mistakes", async () => {
  const text = GOOD.replace("    port: 80\n", '    rise: "2"\n    port: http\n    ports: 80\n');
  await assert.rejects(readServicesYaml(text, "a"), /line 7: "2" is not a whole number$/);
  await assert.rejects(
    readServicesYaml(GOOD.replace("    port: 80\n", "    ports: 80\n    port: http\n"), "a"),
    /line 7: a service has no "ports"/,
  );
});

Deno.test("readServicesYaml() names the line of what is wrong", async () => {
  for (const [from, to, message] of BAD) {
    assert.ok(GOOD.includes(from), from);
    await assert.rejects(readServicesYaml(GOOD.replace(from, to), '"s.yaml"'), (error) => {
      assert.ok(error instanceof KnetError, String(error));
      assert.equal(error.exitCode, 2);
      assert.match(error.message, /^Cannot read services from "s\.yaml": line [0-9]+: /);
      assert.match(error.message, message);
      return true;
    }, `${from} → ${to}`);
  }
});

Deno.test("readServicesYaml() refuses what holds no list of services", async () => {
  for (const text of ["", "services:", "- a", "services: 3", "timeouts: {}", "a: *b"]) {
    await assert.rejects(readServicesYaml(text, "a"), /line 1: /, text);
  }
  assert.deepEqual((await readServicesYaml("services: []", "a")).services, []);
});

Deno.test("readServicesYaml() refuses an alias that leads into what it stands in", async () => {
  await assert.rejects(readServicesYaml("&a [*a,*a]\n", "a"), KnetError);
  await assert.rejects(readServicesYaml("services: &a [*a]\n", "a"), KnetError);
});

Deno.test("readServicesYaml() wants one document", async () => {
  for (const text of [`${GOOD}---\nservices: []\n`, "services: []\n---\na: [\n"]) {
    const line = text.slice(0, text.indexOf("---")).split("\n").length;
    await assert.rejects(readServicesYaml(text, "a"), (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 2);
      assert.match(error.message, new RegExp(`line ${line}: another document begins here$`));
      assert.match(error.remedy ?? "", /^Put all services in one document/);
      return true;
    });
  }
  assert.deepEqual((await readServicesYaml("---\nservices: []\n...\n", "a")).services, []);
});

Deno.test("readServicesYaml() reads what writeServicesYaml() writes", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyServices(),
      fc.record({ tcp: fc.nat(9999), tcpfin: fc.nat(9999), udp: fc.nat(9999) }, {
        noNullPrototype: true,
      }),
      async (services, timeouts) => {
        const read = await readServicesYaml(await writeServicesYaml(services, timeouts), "a");
        assert.deepEqual(read.services, services);
        assert.deepEqual({ ...NO_TIMEOUTS, ...read.timeouts }, timeouts);
      },
    ),
  );
});

Deno.test("writeServicesYaml() leaves out what drains", async () => {
  const web = service("web");
  const [first, second] = web.destinations;
  const text = await writeServicesYaml([
    { ...web, destinations: [first!, { ...second!, draining: { deadline: 9 } }] },
  ], NO_TIMEOUTS);
  const { services } = await readServicesYaml(text, "a");
  assert.deepEqual(services[0]!.destinations, [first]);
});
