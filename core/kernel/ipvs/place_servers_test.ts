import assert from "node:assert/strict";
import type { VirtualServer } from "../../services/service.ts";
import type { KernelServer } from "./kernel_server.ts";
import { meetForeign, placeServers } from "./place_servers.ts";

const server = (service: string, address: string) => ({ service, address }) as VirtualServer;
const kernelOf = ({ address }: VirtualServer) => ({ key: `${address}:80` }) as KernelServer;
const web = server("web", "10.96.0.10");
const host = server("host", "192.168.2.1");
const peer = server("peer", "192.168.2.2");

Deno.test("placeServers() leaves out addresses that hosts have or live by, and says what they are", () => {
  const gateway = server("gateway", "192.168.2.254");
  const placed = placeServers([web, host, peer, gateway], {
    kernelOf,
    taken: new Map([
      ["192.168.2.1", "an address of this host"],
      ["192.168.2.254", "this host's gateway"],
    ]),
    peers: new Set(["192.168.2.2"]),
  });
  assert.deepEqual([...placed.wanted.keys()], ["10.96.0.10:80"]);
  assert.deepEqual([...placed.peerVips], ["192.168.2.2"]);
  assert.deepEqual(placed.problems, [
    'Service "host" is left out: 192.168.2.1 is an address of this host',
    'Service "peer" is left out: 192.168.2.2 is an address of another host',
    'Service "gateway" is left out: 192.168.2.254 is this host\'s gateway',
  ]);
});

Deno.test("meetForeign() leaves others' virtual servers to them unless they are to be taken over", () => {
  const wanted = new Map([[kernelOf(web).key, kernelOf(web)]]);
  const facts = { kernelOf, foreign: new Set(["10.96.0.10:80", "192.168.2.1:80"]) };
  const kept = meetForeign([web, host], wanted, { ...facts, adopts: () => false });
  assert.deepEqual([kept.adopted, [...kept.blocked]], [[], ["10.96.0.10:80"]]);
  assert.match(kept.problems[0]!, /^Service "web" is left out: .* not knet's$/);
  const taken = meetForeign([web, host], wanted, { ...facts, adopts: () => true });
  assert.deepEqual([taken.adopted, [...taken.blocked]], [["10.96.0.10:80"], []]);
  assert.deepEqual(taken.problems, []);
});
