import assert from "node:assert/strict";
import { makeClusterConfig } from "../cluster/config.ts";
import { makeService } from "./request.ts";
import { destinationFault, serviceRules, timeoutsFault, withoutClashes } from "./service_rules.ts";
import type { Destination, Service } from "./service.ts";

const config = makeClusterConfig({});
const web = makeService("web", {
  vip: "10.96.0.10",
  port: 80,
  destinations: [{ address: "10.244.0.1", port: 8080 }],
});
const six = makeService("six", { vip: "fd00::10", port: 80 });
const [server] = web.destinations as [Destination];

Deno.test("serviceRules() lets pass what a service is written as, and schedulers of a newer knet", () => {
  const rules = serviceRules(config);
  for (
    const service of [
      web,
      six,
      { ...web, scheduler: "newest", schedulerFlags: ["newest-port"] } as unknown as Service,
    ]
  ) assert.equal(rules(service), undefined);
});

const http = { type: "http", path: "/", interval: 2000, timeout: 1000, rise: 2, fall: 2 } as const;

const WRONG: Record<string, [change: object, state: RegExp]> = {
  "a virtual IP of everybody's own": [{ vip: "127.0.0.1" }, /127\.0\.0\.1: it is a loopback/],
  "a multicast virtual IP": [{ vip: "224.0.0.1" }, /multicast/],
  "the broadcast address": [{ vip: "255.255.255.255" }, /broadcast/],
  "an unspecified virtual IP": [{ vip: "0.0.0.0" }, /unspecified/],
  "a link-local virtual IP": [{ vip: "169.254.1.1" }, /link-local/],
  "a container's address": [{ vip: "10.244.7.7" }, /in the container network 10\.244\.0\.0\/16/],
  "another notation": [{ vip: "FD00::10", family: 6 }, /as knet writes it/],
  "port 0": [{ port: 0 }, /port 0: it is not/],
  "a port that is none": [{ port: 70_000 }, /port 70000/],
  "a protocol that IPVS has not": [{ protocol: "icmp" }, /protocol "icmp"/],
  "a scheduler that is no word": [{ scheduler: "rr\x1b[2J" }, /"rr\\x1b\[2J": it is no scheduler/],
  "a scheduler that is too long": [{ scheduler: "x".repeat(16) }, /no scheduler/],
  "an unknown forwarding": [{ forward: "teleport" }, /forward "teleport"/],
  "an unknown masquerading": [{ masquerade: "maybe" }, /masquerade "maybe"/],
  "an unknown end": [{ onEmpty: "panic" }, /onEmpty "panic"/],
  "a name with controls": [{ name: "a\x1b]0;x" }, /the name "a\\x1b\]0;x"/],
  "a name that is too long": [{ name: "x".repeat(64) }, /1 to 63/],
  "an interval of 0": [{ check: { ...http, interval: 0 } }, /check interval in ms 0/],
  "a negative interval": [{ check: { ...http, interval: -1 } }, /check interval in ms -1/],
  "an interval that is no number": [{ check: { ...http, interval: NaN } }, /check interval in ms/],
  "an interval of years": [{ check: { ...http, interval: 1e12 } }, /check interval in ms/],
  "a timeout of 0": [{ check: { ...http, timeout: 0 } }, /check timeout in ms 0/],
  "a rise of 0": [{ check: { ...http, rise: 0 } }, /rise 0/],
  "a path with a line end": [{ check: { ...http, path: "/a\r\nX: y" } }, /path "\/a\\x0d\\nX: y"/],
  "a path without an end": [{ check: { ...http, path: `/${"x".repeat(5000)}` } }, /longer than/],
  "a drain for ever": [{ drainTimeout: 1e15 }, /drain timeout/],
  "persistence for ever": [{ persistent: 2 ** 40 }, /persistent/],
  "a netmask of nothing": [{ persistenceNetmask: 0 }, /persistence netmask/],
};

for (const [what, [change, state]] of Object.entries(WRONG)) {
  Deno.test(`serviceRules() leaves out ${what}`, () => {
    const fault = serviceRules(config)({ ...web, ...change } as Service);
    assert.match(fault ?? "nothing", state);
    assert.doesNotMatch(fault!, /Cannot use/);
  });
}

Deno.test("destinationFault() lets pass what a destination is written as", () => {
  assert.equal(destinationFault(web, server), undefined);
  assert.equal(
    destinationFault(web, { ...server, weight: 0, draining: { deadline: 5 } }),
    undefined,
  );
});

const WRONG_SERVER: Record<string, [change: Partial<Destination>, state: RegExp]> = {
  "a loopback address": [{ address: "127.0.0.1" }, /loopback/],
  "a multicast address": [{ address: "239.1.1.1" }, /multicast/],
  "no address": [{ address: "0.0.0.0" }, /unspecified/],
  "the broadcast address": [{ address: "255.255.255.255" }, /broadcast/],
  "an address of the other family": [{ address: "fd00::1" }, /IPVS does not translate/],
  "the virtual IP itself": [{ address: "10.96.0.10" }, /the virtual IP itself/],
  "a weight that the kernel has not": [{ weight: 2 ** 31 }, /weight 2147483648/],
  "a weight of a half": [{ weight: 0.5 }, /weight 0\.5/],
  "a threshold below the other": [{ upper: 1, lower: 2 }, /lower threshold 2/],
  "port 0": [{ port: 0 }, /port 0/],
  "a drain that ends after all dates": [{ draining: { deadline: 9e15 } }, /year 9999/],
};

for (const [what, [change, state]] of Object.entries(WRONG_SERVER)) {
  Deno.test(`destinationFault() leaves out ${what}`, () => {
    assert.match(destinationFault(web, { ...server, ...change }) ?? "nothing", state);
  });
}

Deno.test("destinationFault() leaves out another port where none is mapped", () => {
  assert.match(destinationFault({ ...web, forward: "dr" }, server) ?? "", /leaves the port/);
});

Deno.test("timeoutsFault() knows what the kernel does not take", () => {
  assert.equal(timeoutsFault({ tcp: 900, tcpfin: 0, udp: 60 }), undefined);
  assert.match(timeoutsFault({ tcp: -1, tcpfin: 0, udp: 0 }) ?? "", /timeout tcp -1/);
  assert.match(timeoutsFault({ tcp: 0, tcpfin: 0, udp: 1e9 }) ?? "", /timeout udp/);
});

Deno.test("withoutClashes() keeps the older of two at one place, then the first by name", () => {
  const older = { ...web, name: "z", revision: 3 };
  const newer = { ...web, name: "a", revision: 4 };
  const { kept, out } = withoutClashes([newer, older, six]);
  assert.deepEqual(kept, [older, six]);
  assert.equal(out[0]!.service, newer);
  assert.match(out[0]!.state, /"z", which is older, has 10\.96\.0\.10:80\/tcp/);
  const twin = { ...older, name: "b" };
  assert.deepEqual(withoutClashes([older, twin]).kept, [twin]);
  assert.deepEqual(withoutClashes([older, { ...newer, port: 81 }]).out, []);
});
