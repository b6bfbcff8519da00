import assert from "node:assert/strict";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { sampleAddress, sampleLink } from "../../tests/support/samples.ts";
import { KnetError } from "../base/error.ts";
import { chooseUnderlay, type Held, type UnderlayFacts } from "./underlay.ts";

const facts: UnderlayFacts = {
  links: [
    sampleLink({ index: 1, name: "lo" }),
    sampleLink({ index: 2, name: "eth0" }),
    sampleLink({ index: 3, name: "eth1", mtu: 9000 }),
    sampleLink({ index: 4, name: "bare" }),
  ],
  addresses: [
    sampleAddress({ ifindex: 1, address: "127.0.0.1", scope: 254 }),
    sampleAddress({ ifindex: 2, address: "192.168.2.11", flags: 0x81 }),
    sampleAddress({ ifindex: 2, address: "192.168.2.10" }),
    sampleAddress({ ifindex: 3, address: "10.0.0.10", prefixLength: 8 }),
    sampleAddress({ ifindex: 3, address: "fd00::10", prefixLength: 64 }),
    sampleAddress({ ifindex: 2, address: "fe80::10", prefixLength: 64, scope: 253 }),
  ],
  routes: [
    routeOf({ dst: "0.0.0.0/0", gateway: "10.0.0.1", ifindex: 3, priority: 200 }),
    routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.1", ifindex: 2, priority: 100 }),
    routeOf({ dst: "0.0.0.0/0", gateway: "10.0.0.9", ifindex: 3, table: 7 }),
    routeOf({ dst: "::/0", gateway: "fd00::1", ifindex: 3 }),
  ],
};

const had = (address: string, name: string, prefixLength = 24) => ({ address, name, prefixLength });

function refused(run: () => unknown, pattern: RegExp, exitCode = 3): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, exitCode);
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("chooseUnderlay() takes the default route with the lowest metric, and its first primary address", () => {
  assert.deepEqual(chooseUnderlay(facts, { family: 4 }), {
    ifindex: 2,
    name: "eth0",
    address: "192.168.2.10",
    prefixLength: 24,
    nearby: [{ prefix: "192.168.2.0/24", direct: true }],
    publicIp: "192.168.2.10",
    mtu: 1500,
  });
  assert.equal(chooseUnderlay(facts, { family: 6 }).address, "fd00::10");
});

Deno.test("chooseUnderlay() takes --iface as a name, an address, or a pattern over whole names", () => {
  const by = (iface: string) => {
    const { name, address } = chooseUnderlay(facts, { family: 4, iface });
    return `${name} ${address}`;
  };
  assert.equal(by("eth1"), "eth1 10.0.0.10");
  assert.equal(by("192.168.2.11"), "eth0 192.168.2.11", "the very address, secondary or not");
  assert.equal(by("eth[1-9]"), "eth1 10.0.0.10");
  assert.equal(by("e.*"), "eth0 192.168.2.10", "the first that fits");
  const bare = [sampleLink({ index: 9, name: "ea0" }), ...facts.links];
  assert.equal(
    chooseUnderlay({ ...facts, links: bare }, { family: 4, iface: "e.*" }).name,
    "eth0",
    "the first that fits and has an address",
  );
  refused(() => by("th0"), /"th0": no interface has this name or address/);
  refused(() => by("("), /Cannot find the underlay interface "\("/);
});

Deno.test("chooseUnderlay() takes the interface of --public-ip, else tells it to peers as it is", () => {
  const local = chooseUnderlay(facts, { family: 4, publicIp: "10.0.0.10" });
  assert.deepEqual([local.name, local.address, local.publicIp], ["eth1", "10.0.0.10", "10.0.0.10"]);
  const second = chooseUnderlay(facts, { family: 4, publicIp: "192.168.2.11" });
  assert.equal(second.address, "192.168.2.11", "secondary or not");
  const kept = chooseUnderlay(
    facts,
    { family: 4, publicIp: "10.0.0.10" },
    had("192.168.2.10", "eth0"),
  );
  assert.equal(kept.address, "10.0.0.10", "before what the host had");
  const nat = chooseUnderlay(facts, { family: 4, publicIp: "203.0.113.7" });
  assert.deepEqual([nat.name, nat.address, nat.publicIp], ["eth0", "192.168.2.10", "203.0.113.7"]);
});

Deno.test("chooseUnderlay() takes --iface with --public-ip where they agree, and refuses them where they do not", () => {
  const both = (iface: string, publicIp: string, more: Partial<UnderlayFacts> = {}) => {
    const { name, address } = chooseUnderlay({ ...facts, ...more }, { family: 4, iface, publicIp });
    return `${name} ${address}`;
  };
  assert.equal(both("eth1", "10.0.0.10"), "eth1 10.0.0.10");
  assert.equal(both("eth.*", "10.0.0.10"), "eth1 10.0.0.10", "the one of those that fit");
  assert.equal(both("10.0.0.10", "10.0.0.10"), "eth1 10.0.0.10");
  assert.equal(both("eth0", "203.0.113.7"), "eth0 192.168.2.10", "behind a one-to-one NAT");
  refused(
    () => both("eth0", "10.0.0.10"),
    /--iface "eth0" with --public-ip 10\.0\.0\.10: .* on eth1/,
    2,
  );
  refused(() => both("192.168.2.10", "10.0.0.10"), /on eth1/, 2);
  refused(() => both("192.168.2.10", "192.168.2.11"), /"192\.168\.2\.10".* on eth0/, 2);
  const addresses = [
    ...facts.addresses,
    sampleAddress({ ifindex: 1, address: "10.255.0.1", prefixLength: 32 }),
  ];
  const links = facts.links.map((l) => l.name === "lo" ? { ...l, flags: 9, mtu: 65536 } : l);
  assert.equal(both("eth1", "10.255.0.1", { addresses, links }), "eth1 10.255.0.1", "lo's");
  refused(() => both("10.0.0.10", "10.255.0.1", { addresses, links }), /on lo/, 2);
});

Deno.test("chooseUnderlay() keeps the address in use while the interface has it", () => {
  const keep = (...held: Held[]) => chooseUnderlay(facts, { family: 4 }, ...held).address;
  assert.equal(keep(had("192.168.2.11", "eth0")), "192.168.2.11");
  assert.equal(keep(had("192.168.2.99", "eth0")), "192.168.2.10");
  assert.equal(
    keep(had("10.0.0.10", "eth1", 8)),
    "10.0.0.10",
    "though the default route is eth0's",
  );
  assert.equal(keep(had("10.0.0.99", "eth1", 8)), "192.168.2.10");
  assert.equal(
    keep(had("192.168.2.11", "eth0"), had("10.0.0.10", "eth1", 8)),
    "192.168.2.11",
    "home",
  );
  assert.equal(
    keep(had("10.9.9.9", "eth9"), had("10.0.0.10", "eth1", 8)),
    "10.0.0.10",
    "meanwhile",
  );
  const named = chooseUnderlay(facts, { family: 4, iface: "eth0" }, had("10.0.0.10", "eth1", 8));
  assert.equal(named.address, "192.168.2.10", "--iface says otherwise");
});

Deno.test("chooseUnderlay() leaves an interface that is down, and comes back to it when it is up", () => {
  const down = facts.links.map((l) => l.name === "eth0" ? { ...l, up: false } : l);
  const routes = facts.routes.filter(({ ifindex }) => ifindex !== 2);
  const held = [had("192.168.2.10", "eth0"), had("10.0.0.10", "eth1", 8)];
  const away = chooseUnderlay({ ...facts, links: down, routes }, { family: 4 }, held[0]!);
  assert.equal(away.name, "eth1");
  assert.equal(chooseUnderlay(facts, { family: 4 }, ...held).name, "eth0");
  const addresses = facts.addresses.filter(({ address }) => !address.startsWith("192.168.2.1"));
  const renewed = [...addresses, sampleAddress({ ifindex: 2, address: "192.168.2.77" })];
  const back = chooseUnderlay({ ...facts, addresses: renewed }, { family: 4 }, ...held);
  assert.equal(back.address, "192.168.2.77", "a new address of the way out");
});

Deno.test("chooseUnderlay() prefers addresses that hosts are known by to those that come and go", () => {
  const vip = sampleAddress({ ifindex: 2, address: "192.168.2.100", prefixLength: 32 });
  const own = sampleAddress({ ifindex: 2, address: "192.168.2.10" });
  const choose = (addresses: UnderlayFacts["addresses"], ...held: Held[]) =>
    chooseUnderlay({ ...facts, addresses }, { family: 4 }, ...held).address;
  const home = had("192.168.2.10", "eth0");
  assert.equal(choose([vip, own]), "192.168.2.10");
  assert.equal(choose([vip], home), "192.168.2.100", "there is nothing else");
  assert.equal(choose([vip, own], home, had("192.168.2.100", "eth0", 32)), "192.168.2.10");
  const mine = { ...vip, address: "192.168.2.10" };
  const other = { ...own, address: "192.168.2.44" };
  assert.equal(choose([mine, other], home), "192.168.2.44", "it is a virtual one now");
  assert.equal(choose([mine, other], { ...home, prefixLength: 32 }), "192.168.2.10");
  const tentative = sampleAddress({ ifindex: 2, address: "192.168.2.5", flags: 0x40 });
  const deprecated = sampleAddress({ ifindex: 2, address: "192.168.2.6", flags: 0x20 });
  assert.equal(choose([tentative, deprecated, vip]), "192.168.2.100");
  assert.equal(choose([tentative, deprecated]), "192.168.2.6");
});

Deno.test("chooseUnderlay() takes a host's only public /32 before private addresses of the same interface", () => {
  const addresses = [
    sampleAddress({ ifindex: 2, address: "203.0.113.5", prefixLength: 32 }),
    sampleAddress({ ifindex: 2, address: "10.1.0.5" }),
  ];
  const route = routeOf({ dst: "0.0.0.0/0", gateway: "172.31.1.1", ifindex: 2, onlink: true });
  const answer = { route: { ...route, prefSrc: "203.0.113.5" }, entry: route };
  const chosen = chooseUnderlay({ ...facts, addresses, routes: [route], answer }, { family: 4 });
  assert.equal(chosen.address, "203.0.113.5");
});

Deno.test("chooseUnderlay() gives an address that no link carries the MTU of the ways out", () => {
  const links = [
    sampleLink({ index: 1, name: "lo", flags: 9, mtu: 65536 }),
    sampleLink({ index: 2, name: "swp1", mtu: 9000 }),
    sampleLink({ index: 3, name: "swp2", mtu: 9100 }),
    sampleLink({ index: 4, name: "dum0", kind: "dummy", mtu: 1500 }),
    sampleLink({ index: 5, name: "mgmt", mtu: 1500 }),
  ];
  const addresses = [
    sampleAddress({ ifindex: 1, address: "10.255.0.1", prefixLength: 32 }),
    sampleAddress({ ifindex: 4, address: "10.255.0.2", prefixLength: 32 }),
    sampleAddress({ ifindex: 5, address: "192.168.9.1" }),
  ];
  const hops = [
    { ifindex: 2, gateway: "fe80::2", weight: 1, flags: 0 },
    { ifindex: 3, gateway: "fe80::3", weight: 1, flags: 0 },
  ];
  const fabric = routeOf({ dst: "0.0.0.0/0", multipath: true, hops });
  const all = { links, addresses, routes: [fabric] };
  const ways = [{ ifindex: 2, name: "swp1" }, { ifindex: 3, name: "swp2" }];
  for (const iface of ["lo", "dum0", "10.255.0.1"]) {
    const { mtu, ways: found } = chooseUnderlay(all, { family: 4, iface });
    assert.deepEqual([mtu, found], [9000, ways], iface);
  }
  const noDefault = { ...all, routes: [{ ...fabric, dst: "10.255.0.0/16" }] };
  assert.equal(chooseUnderlay(noDefault, { family: 4, iface: "lo" }).mtu, 9000, "BGP's routes");
  const alone = chooseUnderlay({ ...all, routes: [] }, { family: 4, iface: "lo" });
  assert.deepEqual([alone.mtu, alone.ways], [1500, undefined]);
  // Without --iface: the ways have no address of their own, and the kernel sends from lo's.
  const route = routeOf({ dst: "193.0.6.139/32", ifindex: 3, prefSrc: "10.255.0.1" });
  const chosen = chooseUnderlay({ ...all, answer: { route, entry: fabric } }, { family: 4 });
  assert.deepEqual([chosen.name, chosen.address, chosen.mtu], ["lo", "10.255.0.1", 9000]);
});

Deno.test("chooseUnderlay() takes the MTU of a point-to-point link that borrows its address", () => {
  const links = [...facts.links, sampleLink({ index: 7, name: "ppp0", mtu: 1492 })];
  const route = routeOf({ dst: "0.0.0.0/0", ifindex: 7 });
  const answer = { route: { ...route, prefSrc: "10.0.0.10" }, entry: route };
  const { name, address, mtu, ways } = chooseUnderlay(
    { ...facts, links, routes: [route], answer },
    {
      family: 4,
    },
  );
  assert.deepEqual([name, address, mtu], ["eth1", "10.0.0.10", 1492]);
  assert.deepEqual(ways, [{ ifindex: 7, name: "ppp0" }]);
});

Deno.test("chooseUnderlay() refuses an interface without a global address, and a host without a default route", () => {
  refused(() => chooseUnderlay(facts, { family: 4, iface: "bare" }), /no global IPv4 address/);
  refused(() => chooseUnderlay(facts, { family: 6, iface: "eth0" }), /no global IPv6 address/);
  refused(() => chooseUnderlay({ ...facts, routes: [] }, { family: 4 }), /no default route/);
});
