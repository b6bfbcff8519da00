import assert from "node:assert/strict";
import { sampleLease } from "../../tests/support/samples.ts";
import { peerKey } from "../overlay/overlay.ts";
import { PeerAddresses } from "./peer_addresses.ts";

const lease = (nodeId: string, publicIp: string) => sampleLease({ nodeId, publicIp });

Deno.test("PeerAddresses.change() tells only what the set gains and loses", () => {
  const addresses = new PeerAddresses();
  addresses.set([lease("a", "192.0.2.1"), lease("b", "192.0.2.2")]);
  assert.deepEqual(addresses.change([lease("c", "192.0.2.3")], []), {
    add: ["192.0.2.3"],
    remove: [],
  });
  assert.deepEqual(addresses.change([lease("a", "192.0.2.9")], [peerKey(lease("b", ""))]), {
    add: ["192.0.2.9"],
    remove: ["192.0.2.2", "192.0.2.1"],
  });
  assert.deepEqual(addresses.change([lease("c", "192.0.2.3")], ["nobody/4"]), {
    add: [],
    remove: [],
  });
  assert.deepEqual(addresses.all.sort(), ["192.0.2.3", "192.0.2.9"]);
});

Deno.test("PeerAddresses keeps an address as long as one peer has it", () => {
  const addresses = new PeerAddresses();
  addresses.set([lease("a", "192.0.2.1"), lease("b", "192.0.2.1")]);
  assert.deepEqual(addresses.change([], [peerKey(lease("a", ""))]), { add: [], remove: [] });
  assert.deepEqual(addresses.change([], [peerKey(lease("b", ""))]), {
    add: [],
    remove: ["192.0.2.1"],
  });
});

Deno.test("PeerAddresses exchanges addresses of two peers without a gap", () => {
  const addresses = new PeerAddresses();
  addresses.set([lease("a", "192.0.2.1"), lease("b", "192.0.2.2")]);
  const swap = [lease("a", "192.0.2.2"), lease("b", "192.0.2.1")];
  assert.deepEqual(addresses.change(swap, []), { add: [], remove: [] });
});

Deno.test("PeerAddresses leaves out a reservation that nobody took", () => {
  const addresses = new PeerAddresses();
  addresses.set([sampleLease({ reserved: true, agentId: "", publicIp: "192.0.2.1" })]);
  assert.deepEqual(addresses.all, []);
});
