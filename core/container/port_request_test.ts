import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { expandPorts, mappingTexts, parsePublish, portsOverlap } from "./port_request.ts";

Deno.test("parsePublish() reads Docker's grammar, ranges and addresses", () => {
  assert.deepEqual(parsePublish("8080:80"), [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  ]);
  assert.deepEqual(parsePublish("127.0.0.1:53:5300/UDP"), [
    { hostPort: 53, containerPort: 5300, protocol: "udp", hostIp: "127.0.0.1" },
  ]);
  assert.deepEqual(parsePublish("0.0.0.0:7000-7001:80-81/sctp"), [
    { hostPort: 7000, containerPort: 80, protocol: "sctp" },
    { hostPort: 7001, containerPort: 81, protocol: "sctp" },
  ]);
});

Deno.test("parsePublish() refuses everything else, with exit code 2, saying what is wrong", () => {
  const wrong: Record<string, RegExp> = {
    "": /the host's port is missing/,
    "80": /the host's port is missing/,
    ":80": /the host's port is missing/,
    "8080:": /the container's port is missing/,
    "127.0.0.1::80": /the host's port is missing/,
    ":8080:80": /the address is missing/,
    "0:80": /between 1 and 65535/,
    "8080:0": /between 1 and 65535/,
    "65536:80": /between 1 and 65535/,
    "123456:80": /is no port/,
    "8080:80/": /protocol is missing/,
    "8080:80/icmp": /no protocol with ports/,
    "8080:80/tcp/udp": /is no port|another form/,
    "8000-8001:80": /not equally many/,
    "8000-7999:80-79": /ends before it begins/,
    "1-65535:1-65535": /at most 4096/,
    "localhost:80:80": /is no address/,
    "256.0.0.1:80:80": /is no address/,
    "[::1]:80:80": /IPv4 addresses only/,
    "[::]:80:80": /IPv4 addresses only/,
    "::1:80:80": /another form|is no/,
    " 80:80": /is no port/,
    "80:80\n81:81": /is no|another form/,
  };
  for (const [text, message] of Object.entries(wrong)) {
    assert.throws(() => parsePublish(text), (error) => {
      assert.ok(error instanceof KnetError && error.exitCode === 2, text);
      assert.match(error.message, message, text);
      assert.match(error.remedy ?? "", /HOSTPORT:PORT/);
      return true;
    });
  }
});

Deno.test("expandPorts() takes what runtimes say: empty protocols and addresses, ranges, things said twice", () => {
  const port = { hostPort: 80, containerPort: 8080 };
  const tcp = { ...port, protocol: "tcp" };
  assert.deepEqual(expandPorts([{ ...port, protocol: "", hostIp: "" }, { ...port, range: 1 }]), [
    tcp,
  ]);
  assert.equal(expandPorts([{ ...port, range: 20 }]).length, 20);
  assert.throws(() => expandPorts([port, { ...port, containerPort: 81 }]), /8080 as well/);
  assert.throws(
    () => expandPorts([port, { ...port, hostIp: "127.0.0.1", containerPort: 81 }]),
    /127\.0\.0\.1:80\/tcp: it is to lead to port 8080 as well/,
  );
  // Another protocol, or another address, is another place.
  const both = [{ ...port, hostIp: "127.0.0.1" }, { ...port, hostIp: "127.0.0.2" }];
  assert.equal(expandPorts([...both, { ...port, protocol: "udp" }]).length, 3);
  assert.throws(() => expandPorts([{ ...port, range: 0 }]), /at most 4096/);
});

Deno.test("portsOverlap() knows that a port at all addresses is at each of them", () => {
  const any = { hostPort: 80, protocol: "tcp" as const };
  const at = (hostIp: string) => ({ ...any, hostIp });
  assert.ok(portsOverlap(any, any));
  assert.ok(portsOverlap(any, at("10.0.0.1")));
  assert.ok(portsOverlap(at("10.0.0.1"), any));
  assert.ok(!portsOverlap(at("10.0.0.1"), at("10.0.0.2")));
  assert.ok(!portsOverlap(any, { ...any, protocol: "udp" }));
  assert.ok(!portsOverlap(any, { ...any, hostPort: 81 }));
});

Deno.test("mappingTexts() shows those that follow each other as a range", () => {
  const ports = expandPorts([
    { hostPort: 8000, containerPort: 80, range: 3 },
    { hostPort: 8003, containerPort: 83, protocol: "udp" },
    { hostPort: 53, containerPort: 53, hostIp: "127.0.0.1" },
  ]);
  assert.deepEqual(mappingTexts(ports), [
    "8000-8002->80-82/tcp",
    "8003->83/udp",
    "127.0.0.1:53->53/tcp",
  ]);
  assert.deepEqual(mappingTexts([]), []);
});
