import assert from "node:assert/strict";
import fc from "fast-check";
import { anyService, service } from "../../tests/support/services.ts";
import { KnetError } from "../base/error.ts";
import { parseCheck } from "./check_text.ts";
import { parseDestination, parseEndpoint } from "./destination.ts";
import { type Destination, realServerKey } from "./service.ts";
import { makeService, type ServiceRequest } from "./request.ts";
import { checkService } from "./validate.ts";

const to = (text: string): ServiceRequest => ({ destinations: [parseDestination(text)] });

/** Each rule has its own message. */
const REFUSALS: readonly [request: ServiceRequest, message: RegExp][] = [
  [{ vip: "10.96.0" }, /virtual IP "10\.96\.0": it is neither an IPv4 nor an IPv6 address/],
  [{ vip: "0.0.0.0" }, /virtual IP 0\.0\.0\.0: it is an unspecified address/],
  [{ vip: "127.0.0.1" }, /virtual IP 127\.0\.0\.1: it is a loopback address/],
  [{ vip: "224.0.0.5" }, /it is a multicast address/],
  [{ vip: "255.255.255.255" }, /it is the broadcast address/],
  [{ vip: "fe80::1" }, /it is a link-local address/],
  [{ vip: "ff02::1" }, /it is a multicast address/],
  [{ vip: "::1" }, /it is a loopback address/],
  [{ vip: "::ffff:10.96.0.10" }, /virtual IP ::ffff:a60:a: it is 10\.96\.0\.10 in IPv6 notation/],
  [
    { vip: "fd00:96::10", ...to("[::ffff:10.244.0.1]:80") },
    /real server ::ffff:af4:1: it is 10\.244\.0\.1 in IPv6 notation/,
  ],
  [{ port: 0 }, /port 0: it is not a whole number between 1 and 65535/],
  [{ protocol: "icmp" as "tcp" }, /protocol "icmp": there is no such protocol/],
  [{ scheduler: "fair" as "rr" }, /scheduler "fair": there is no such scheduler/],
  [{ scheduler: "rr", schedulerFlags: ["sh-port"] }, /"sh-port": it is not one of scheduler rr/],
  [{ schedulerFlags: ["up" as "sh-port"] }, /scheduler flag "up": there is no such flag/],
  [{ forward: "fullnat" as "nat" }, /forward "fullnat": there is no such forward/],
  [{ masquerade: "yes" as "auto" }, /masquerade "yes"/],
  [
    { masquerade: "always", forward: "dr", destinations: [] },
    /forwarding by dr leaves the client's/,
  ],
  [{ onEmpty: "drop" as "keep" }, /onEmpty "drop"/],
  [{ persistent: -1 }, /persistent -1: it is not a whole number/],
  [{ persistent: 31 * 86_400 + 1 }, /persistent 2678401: .*between 0 and 2678400/],
  [{ persistenceNetmask: 33 }, /between 1 and 32/],
  [{ onePacket: true }, /one-packet scheduling: the service's protocol is tcp/],
  [{ drainTimeout: 1e9 }, /drain timeout 1000000000/],
  [to("10.244.0.1:80,weight=65536"), /weight 65536 of 10\.244\.0\.1:80: .*between 0 and 65535/],
  [to("10.244.0.1:80,upper=5,lower=6"), /lower threshold 6 of .*: it is above the upper one, 5/],
  [to("10.244.0.1:80,lower=6"), /lower threshold 6 of .*: there is no upper threshold/],
  [to("10.244.0.1:80,upper=4294967296"), /upper threshold 4294967296/],
  [to("10.244.0.1:65536"), /port 65536 of real server 10\.244\.0\.1/],
  [to("10.244.0.1:0"), /port 0 of real server/],
  [to("[fd00::1]:80"), /\[fd00::1\]:80: the virtual IP 10\.96\.0\.10 is of IPv4/],
  [to("127.0.0.1:80"), /real server 127\.0\.0\.1: it is a loopback address/],
  [to("10.96.0.10:80"), /it is the virtual IP itself/],
  [{ destinations: [{ address: "10.1.1.1" }, { address: "10.1.1.1", port: 80 }] }, /has it twice/],
  [
    { forward: "dr", ...to("10.244.0.1:81") },
    /by dr leaves the port as it is, and the service's is 80/,
  ],
  [{ forward: "tunnel", ...to("10.244.0.1:81") }, /by tunnel leaves the port as it is/],
  [{ check: { interval: 500 } }, /a check's interval: the service has no check/],
  [{ check: { type: "tcp", interval: 10 } }, /check interval in ms 10: .*between 100 and/],
  [{ check: { type: "tcp", fall: 0 } }, /fall 0/],
  [{ check: { type: "http", path: "up" } }, /path "up": it does not begin with "\/"/],
  [{ check: { type: "http", path: "/a b" } }, /path "\/a b"/],
  [{ check: { type: "http", path: "/\r\nX: y" } }, /path/],
];

Deno.test("makeService() refuses what makes no service, each with its own message", () => {
  for (const [request, message] of REFUSALS) {
    assert.throws(() => service("web", request), (error) => {
      assert.ok(error instanceof KnetError, String(error));
      assert.equal(error.exitCode, 2);
      assert.match(error.message, message);
      assert.ok(error.remedy);
      return true;
    }, JSON.stringify(request));
  }
});

Deno.test("makeService() refuses names that are none", () => {
  for (const name of ["", "-a", "a b", "a/b", "x".repeat(64), "ü"]) {
    assert.throws(() => service(name), /Cannot use the name/, name);
  }
  for (const name of ["a", "web-1.prod_x", "x".repeat(63)]) assert.equal(service(name).name, name);
});

Deno.test("makeService() fills in defaults and canonical addresses", () => {
  const made = makeService("db", {
    vip: "FD00:0::10",
    port: 5432,
    check: { type: "tcp", interval: 500 },
    destinations: [{ address: "fd00::2" }, { address: "FD00::1", weight: 0 }],
  });
  assert.equal(made.vip, "fd00::10");
  assert.equal(made.persistenceNetmask, 128);
  assert.deepEqual(made.destinations, [
    { address: "fd00::1", port: 5432, weight: 0, upper: 0, lower: 0 },
    { address: "fd00::2", port: 5432, weight: 1, upper: 0, lower: 0 },
  ]);
  assert.deepEqual(made.check, { type: "tcp", interval: 500, timeout: 500, rise: 2, fall: 2 });
});

Deno.test("makeService() over another changes what is said, and what cannot stay with it", () => {
  const before = service("web", { scheduler: "sh", schedulerFlags: ["sh-port"], persistent: 60 });
  assert.deepEqual(makeService("web", {}, before), before);
  const after = makeService("web", { scheduler: "mh" }, before);
  assert.deepEqual([after.scheduler, after.schedulerFlags, after.persistent], ["mh", [], 60]);
  const checked = makeService("web", { check: { type: "http", path: "/up", fall: 5 } }, before);
  const faster = makeService("web", { check: { interval: 1000 } }, checked);
  assert.deepEqual(faster.check, {
    type: "http",
    path: "/up",
    interval: 1000,
    timeout: 1000,
    rise: 2,
    fall: 5,
  });
  assert.deepEqual(makeService("web", { check: { type: "none" } }, checked).check, {
    type: "none",
  });
});

const keysOf = (one: { destinations: readonly Destination[] }) =>
  one.destinations.map(realServerKey);

Deno.test("makeService() lets real servers of dr and tunnel follow the port", () => {
  for (const forward of ["dr", "tunnel"] as const) {
    const before = service("web", { forward, ...to("10.244.0.1") });
    assert.deepEqual(keysOf(makeService("web", { port: 81 }, before)), ["10.244.0.1:81"]);
    const direct = makeService("web", { port: 81, forward: "dr" }, before);
    assert.deepEqual(keysOf(direct), ["10.244.0.1:81"]);
    // With nat, ports are what was said of them.
    const mapped = makeService("web", { port: 81, forward: "nat" }, before);
    assert.deepEqual(keysOf(mapped), ["10.244.0.1:80"]);
    const wrong = { ...before, destinations: [{ ...before.destinations[0]!, port: 81 }] };
    assert.throws(() => makeService("web", {}, wrong), /leaves the port as it is/);
  }
});

Deno.test("makeService() lets go of what drains and does not fit any more, and of nothing else", () => {
  const before = service("web", {
    destinations: ["10.244.0.1", "10.244.0.2"].map((address) => ({ address })),
  });
  const draining = { deadline: 9 };
  const left = { ...before.destinations[0]!, draining };
  const with8080 = { ...before, destinations: [{ ...left, port: 8080 }, ...before.destinations] };
  const direct = makeService("web", { forward: "dr" }, with8080);
  assert.deepEqual(keysOf(direct), ["10.244.0.1:80", "10.244.0.2:80"]);
  const with80 = { ...before, destinations: [left, before.destinations[1]!] };
  assert.deepEqual(makeService("web", { forward: "dr" }, with80).destinations, with80.destinations);
  const onlyLeft = { ...before, destinations: [left] };
  assert.deepEqual(keysOf(makeService("web", { vip: "fd00:96::1" }, onlyLeft)), []);
  assert.throws(() => makeService("web", { vip: "fd00:96::1" }, before), /is of IPv6/);
  assert.throws(() =>
    makeService("web", { forward: "dr" }, {
      ...before,
      destinations: [{ ...before.destinations[0]!, port: 8080 }],
    }), /leaves the port/);
});

Deno.test("checkService() accepts any service that the rules allow", () => {
  fc.assert(fc.property(anyService(7), (one) => checkService(one)));
});

Deno.test("parseEndpoint() splits addresses from ports", () => {
  assert.deepEqual(parseEndpoint("10.0.0.1:80"), { address: "10.0.0.1", port: 80 });
  assert.deepEqual(parseEndpoint("10.0.0.1"), { address: "10.0.0.1" });
  assert.deepEqual(parseEndpoint("[fd00::1]:80"), { address: "fd00::1", port: 80 });
  assert.deepEqual(parseEndpoint("[fd00::1]"), { address: "fd00::1" });
  assert.deepEqual(parseEndpoint("fd00::1"), { address: "fd00::1" });
  for (
    const bad of ["", "web:80", "10.0.0.1:", "10.0.0.1:http", "10.0.0.1:80:1", "[10.0.0.1", "x"]
  ) {
    assert.throws(() => parseEndpoint(bad), SyntaxError, bad);
  }
});

Deno.test("parseEndpoint() and parseDestination() want brackets where an end may be a port", () => {
  const both =
    /"fd00:244::5:8080" is an address, or one with a port: give \[fd00:244::5:8080\] or \[fd00:244::5\]:8080$/;
  const CASES: readonly [text: string, message: RegExp][] = [
    ["fd00:244::5:8080", both],
    [
      "1:2:3:4:5:6:7:8:80",
      /8:80" is no address, but one with a port: give \[1:2:3:4:5:6:7:8\]:80$/,
    ],
    ["fd00::5:65535", /give \[fd00::5\]:65535$/],
  ];
  for (const [text, message] of CASES) {
    assert.throws(() => parseEndpoint(text), { name: "SyntaxError", message });
    assert.throws(() => parseDestination(`${text},weight=3`), { name: "SyntaxError", message });
  }
  assert.deepEqual(parseDestination("[fd00:244::5:8080]"), { address: "fd00:244::5:8080" });
  // No port could be meant here: what is left of it would be no address.
  for (const address of ["fd00::5", "::1", "fd00:244::5:beef", "1:2:3:4:5:6:7:8"]) {
    assert.deepEqual(parseEndpoint(address), { address });
  }
});

Deno.test("parseDestination() takes weight and thresholds, and nothing twice", () => {
  assert.deepEqual(parseDestination("10.0.0.1:80,weight=3,upper=100,lower=50"), {
    address: "10.0.0.1",
    port: 80,
    weight: 3,
    upper: 100,
    lower: 50,
  });
  for (const bad of ["10.0.0.1:80,3", "10.0.0.1:80,weight=x", "10.0.0.1:80,weight=1,weight=2"]) {
    assert.throws(() => parseDestination(bad), /is not a real server/, bad);
  }
});

Deno.test("parseCheck() takes tcp, http and none", () => {
  assert.deepEqual(parseCheck("http:/a"), { type: "http", path: "/a" });
  assert.deepEqual(parseCheck("tcp"), { type: "tcp" });
  assert.throws(() => parseCheck("icmp"), /"icmp" is not a check/);
  for (
    const [url, advice] of [
      ["http://web.example/healthz", /path alone: http:\/healthz$/],
      ["HTTP://web.example:8080/a/b?c=d#e", /path alone: http:\/a\/b\?c=d$/],
      ["http://[fd00::1]:80", /path alone: http:\/$/],
      ["//web.example/x", /path alone: http:\/x$/],
      ["http:http://web.example/x", /path alone: http:\/x$/],
      ["https://web.example/healthz", /path alone: https:\/healthz$/],
      ["HTTP:/healthz", /is not a check/],
    ] as const
  ) assert.throws(() => parseCheck(url), advice, url);
});
