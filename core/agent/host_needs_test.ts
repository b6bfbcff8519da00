import assert from "node:assert/strict";
import { storeHosts } from "../store/location.ts";
import { needsOf } from "./host_needs.ts";

Deno.test("needsOf() names gateways, name servers, the store and broadcast addresses", () => {
  const needs = needsOf({
    routes: [{ gateway: "192.168.2.254" }, {}],
    broadcasts: ["192.168.2.255"],
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
  });
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
