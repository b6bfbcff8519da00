import assert from "node:assert/strict";
import { storeHosts } from "../store/location.ts";
import { needsOf } from "./host_needs.ts";

Deno.test("needsOf() names gateways, name servers, the store and broadcast addresses", () => {
  const needs = needsOf({
    routes: [{ gateway: "192.168.2.254" }, {}],
    nexthops: [],
    own: [{ address: "192.168.2.1", prefixLength: 24, broadcast: "192.168.2.255" }],
    resolvers: [
      "# nameserver 9.9.9.9\nnameserver 192.168.2.53\n\tnameserver  fd00::53 # ours\nsearch x\n",
      "nameserver fe80::1%eth0\nnameserver 127.0.0.53\nnameserver\n",
    ],
    store: ["192.168.2.200"],
  });
  assert.deepEqual(Object.fromEntries(needs), {
    "192.168.2.254": "this host's gateway",
    "192.168.2.200": "where this host's store is",
    "192.168.2.53": "this host's name server",
    "fd00::53": "this host's name server",
    "fe80::1": "this host's name server",
    "127.0.0.53": "this host's name server",
    "192.168.2.255": "the broadcast address of a network of this host",
    "192.168.2.0": "the network address of a network of this host",
  });
});

Deno.test("needsOf() names the gateways of all next hops, and both ends of networks without a broadcast address", () => {
  const needs = needsOf({
    routes: [{ hops: [{ gateway: "192.168.2.251" }, {}, { gateway: "192.168.2.252" }] }],
    nexthops: [{ gateway: "192.168.2.253" }, {}],
    own: [
      { address: "10.9.9.5", prefixLength: 29 },
      { address: "10.9.8.1", prefixLength: 31 },
      { address: "10.9.7.1", prefixLength: 32 },
    ],
    resolvers: [],
    store: [],
  });
  assert.deepEqual([...needs.keys()], [
    "192.168.2.251",
    "192.168.2.252",
    "192.168.2.253",
    "10.9.9.7",
    "10.9.9.0",
  ]);
});

Deno.test("storeHosts() finds addresses in a store's URL, and no names", () => {
  assert.deepEqual(storeHosts("postgres://u:p@ss@10.0.0.1:5432,[fd00::1]:5433,db,10.0.0.2/knet"), [
    "10.0.0.1",
    "fd00::1",
    "10.0.0.2",
  ]);
  assert.deepEqual(storeHosts("sqlite:/10.0.0.1/knet.db"), []);
  assert.deepEqual(storeHosts("postgres:///knet?host=/run"), []);
});
