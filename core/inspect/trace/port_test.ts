import assert from "node:assert/strict";
import { sampleLease, sampleState } from "../../../tests/support/samples.ts";
import { KnetError } from "../../base/error.ts";
import type { StoredContainer } from "../../cluster/cluster_container.ts";
import { makeService } from "../../services/request.ts";
import { hostPort, portWord, publisherOf, remotePortStep, servicesAt } from "./port.ts";

const STATE = sampleState({ nodeId: "id1", nodeName: "h1", publicIp: "192.0.2.1" });
const PEER = { ...sampleLease(), nodeId: "id2", nodeName: "h2", publicIp: "192.0.2.2" };
const word = (text: string) => portWord(text) ?? assert.fail(text);
const refused = (act: () => unknown, state: RegExp) =>
  assert.throws(
    act,
    (error) => error instanceof KnetError && error.exitCode === 2 && state.test(error.message),
  );

Deno.test("portWord() takes hosts by name and address with a port, and nothing else", () => {
  assert.deepEqual(portWord("h2:8080"), { host: "h2", port: 8080, protocol: "tcp" });
  assert.deepEqual(portWord("192.0.2.2:53/UDP"), { host: "192.0.2.2", port: 53, protocol: "udp" });
  assert.deepEqual(portWord("[fd00::1]:80")?.host, "fd00::1");
  for (
    const text of [
      "h2",
      "fd00::1",
      "fd00::1:80",
      "h2:",
      ":80",
      "h2:0",
      "h2:65536",
      "h2:80/icmp",
      "h2:http",
      "h2/db",
    ]
  ) assert.equal(portWord(text), undefined, text);
});

Deno.test("hostPort() finds this host and others by name and address, and refuses what is no host's", () => {
  const of = (text: string) => hostPort(word(text), STATE, [PEER], ["192.0.2.1", "10.244.3.1"]);
  assert.deepEqual(of("h1:80"), { address: "192.0.2.1", port: 80, protocol: "tcp" });
  assert.deepEqual(of("10.244.3.1:80").address, "10.244.3.1");
  for (const text of ["h2:80", "192.0.2.2:80"]) {
    assert.deepEqual(of(text), { address: "192.0.2.2", port: 80, protocol: "tcp", peer: PEER });
  }
  refused(() => of("db:80"), /no host of the cluster/);
  refused(() => of("198.51.100.1:80"), /no host of the cluster/);
  refused(() => of("127.0.0.1:80"), /the container itself/);
  refused(() => hostPort(word("[fd00::1]:80"), STATE, [], ["fd00::1"]), /IPv4/);
});

Deno.test("servicesAt() leaves those at the port of a virtual IP, and says so if none is there", () => {
  const web = makeService("web", { vip: "10.96.0.1", port: 80 });
  const dns = makeService("dns", { vip: "10.96.0.1", port: 80, protocol: "udp" });
  assert.deepEqual(servicesAt(word("10.96.0.1:80"), [web, dns]), [web]);
  assert.deepEqual(servicesAt(word("10.96.0.1:80/udp"), [web, dns]), [dns]);
  assert.equal(servicesAt(word("10.96.0.2:80"), [web, dns]), undefined);
  assert.equal(servicesAt(word("web:80"), [web, dns]), undefined);
  refused(() => servicesAt(word("10.96.0.1:81"), [web, dns]), /no service is at that port/);
});

Deno.test("publisherOf() goes by port, protocol and address, the certain address first", () => {
  const any = { ports: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" as const }] };
  const at = { ports: [{ ...any.ports[0]!, hostIp: "192.0.2.1" }] };
  const udp = { ports: [{ ...any.ports[0]!, protocol: "udp" as const }] };
  const asked = (address: string) => ({ address, port: 80, protocol: "tcp" as const });
  assert.equal(publisherOf(asked("192.0.2.1"), [udp, any, at])?.container, at);
  assert.equal(publisherOf(asked("192.0.2.9"), [udp, at, any])?.container, any);
  assert.equal(publisherOf(asked("192.0.2.9"), [udp, at, {}]), undefined);
});

Deno.test("remotePortStep() says what the other host has told the store, or that it has not", () => {
  const container: StoredContainer = {
    ...{ nodeId: "id2", nodeName: "h2", key: "k", name: "db", address: "10.244.4.5" },
    ...{ ifname: "eth0", netns: "", runtime: "", containerId: "", labels: {} },
    ports: [{ hostPort: 5432, containerPort: 15432, protocol: "tcp" }],
  };
  const asked = { address: "192.0.2.2", port: 5432, protocol: "tcp" as const };
  const found = remotePortStep(asked, PEER, [container], undefined);
  assert.equal(found.status, "ok");
  assert.match(
    found.detail,
    /192\.0\.2\.2:5432\/tcp .* "h2": it goes to "db", 10\.244\.4\.5 port 15432/,
  );
  const others = remotePortStep(asked, PEER, [{ ...container, nodeId: "id3" }], undefined);
  assert.equal(others.status, "warn");
  assert.equal(remotePortStep(asked, PEER, [], "The store is away").remedy, "The store is away");
});
