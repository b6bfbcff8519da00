import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import {
  hasLoopbackPorts,
  hasPorts,
  portDelta,
  type PortMaps,
  portMaps,
  portObjects,
  type PublishedPort,
} from "./port_rules.ts";
import { changePorts, readPorts } from "./ports.ts";
import { type FirewallDesired, firewallRules } from "./rules.ts";

const SUBNET = "10.244.1.0/24";
const PLACE = { subnet: SUBNET, bridge: "knet0" };
const web: PublishedPort = {
  protocol: "tcp",
  hostPort: 8080,
  address: "10.244.1.2",
  containerPort: 80,
};
const dns: PublishedPort = {
  protocol: "udp",
  hostIp: "127.0.0.1",
  hostPort: 5300,
  address: "10.244.1.3",
  containerPort: 53,
};
const association: PublishedPort = { ...web, protocol: "sctp" };

const desired: FirewallDesired = {
  network: "10.244.0.0/16",
  subnet: SUBNET,
  address: "192.168.2.1",
  bridge: "knet0",
  ipMasq: false,
  peersOnly: undefined,
};

Deno.test("portMaps() sorts by address, and leaves out what is not of this host's subnet", () => {
  const stranded = { ...web, hostPort: 8081, address: "10.244.9.2" };
  const six = { ...web, hostPort: 8082, address: "fd00::2" };
  const second = { ...web, address: "10.244.1.9" };
  const maps = portMaps([web, dns, association, stranded, six, second], SUBNET);
  assert.deepEqual(maps.get("port-any"), [
    "6 . 8080 : 10.244.1.2 . 80",
    "132 . 8080 : 10.244.1.2 . 80",
  ]);
  assert.deepEqual(maps.get("port-at"), ["127.0.0.1 . 17 . 5300 : 10.244.1.3 . 53"]);
  assert.ok(hasPorts(maps));
  assert.ok(!hasPorts(portMaps([stranded], SUBNET)));
});

Deno.test("hasLoopbackPorts() is so for ports at all addresses, and for those at 127.0.0.0/8", () => {
  const of = (port: PublishedPort) => hasLoopbackPorts(portMaps([port], SUBNET));
  assert.ok(of(web));
  assert.ok(of(dns));
  assert.ok(!of({ ...dns, hostIp: "192.168.2.1" }));
  assert.ok(!hasLoopbackPorts(undefined));
});

Deno.test("firewallRules() has rules for ports only where there are some, and lets virtual IPs be services'", () => {
  const none = firewallRules({ ...desired, ports: portMaps([], SUBNET) });
  assert.ok(!none.includes("port-"));
  const some = firewallRules({ ...desired, ports: portMaps([web], SUBNET) });
  assert.match(some, /chain port-lead \{\ndnat ip to ip daddr \. meta l4proto/);
  const services = firewallRules({
    ...desired,
    ports: portMaps([web], SUBNET),
    services: new Map(),
  });
  assert.match(services, /chain port-lead \{\nip daddr @svc-vips return\ndnat/);
});

Deno.test("portObjects() and portMaps() let nothing unchecked into the commands", () => {
  const evil = '1.2.3.4 }; flush ruleset; add rule "';
  assert.throws(() => portMaps([{ ...web, hostIp: evil }], SUBNET));
  assert.throws(() => portMaps([{ ...web, address: evil }], SUBNET));
  assert.throws(() => portMaps([{ ...web, hostPort: 0 }], SUBNET), RangeError);
  assert.throws(() => portMaps([{ ...web, containerPort: 1.5 }], SUBNET), RangeError);
  assert.throws(() => portObjects(new Map(), { ...PLACE, bridge: 'x" accept' }), SyntaxError);
  assert.throws(() => portObjects(new Map(), { ...PLACE, subnet: evil }));
});

Deno.test("portDelta() takes a port from one container and gives it to another in one go", () => {
  const before = portMaps([web, dns], SUBNET);
  const after = portMaps([{ ...web, address: "10.244.1.7" }, dns], SUBNET);
  assert.deepEqual(portDelta(before, after).split("\n"), [
    "delete element ip knet port-any { 6 . 8080 }",
    "add element ip knet port-any { 6 . 8080 : 10.244.1.7 . 80 }",
  ]);
  assert.equal(portDelta(after, after), "");
});

const reason = whyNoLab();
Deno.test({
  name:
    "changePorts() makes the chains, changes what is in them and is undone by the kernel's own listing",
  ignore: reason !== undefined && (skip("changePorts()", reason), true),
  fn: () => {
    using handle = newNetns();
    withNetns(handle.fd, () => {
      using nft = new Nftables();
      const set = (ports: readonly PublishedPort[]) =>
        changePorts(nft, () => portMaps(ports, SUBNET), PLACE);
      const sorted = (maps: PortMaps | undefined) =>
        maps && new Map([...maps].map(([name, elements]) => [name, [...elements].sort()]));
      assert.equal(readPorts(nft), undefined);
      changePorts(nft, () => portMaps([], SUBNET), undefined);
      assert.equal(readPorts(nft), undefined, "for nothing there is no table");
      const many = Array.from({ length: 200 }, (_, n) => ({ ...web, hostPort: 9000 + n }));
      for (
        const ports of [[web], [{ ...web, address: "10.244.1.9" }, dns, ...many], [association], []]
      ) {
        set(ports);
        assert.deepEqual(sorted(readPorts(nft)), sorted(portMaps(ports, SUBNET)));
      }
      // The whole table, over what is there.
      const ports = portMaps([web, dns], SUBNET);
      nft.run(firewallRules({ ...desired, ports, services: new Map() }));
      assert.deepEqual(sorted(readPorts(nft)), sorted(ports));
      nft.run(firewallRules(desired));
      assert.equal(readPorts(nft), undefined);
    });
  },
});
