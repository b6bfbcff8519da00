import assert from "node:assert/strict";
import fc from "fast-check";
import { addressToNumber, networkOf, numberToAddress, prefixContains } from "../../base/address.ts";
import { buildPeerTable, isPeer, NOBODY, ownerOf, type UdpPeer } from "./routes.ts";

const number = (address: string) => Number(addressToNumber(address));
const text = (address: number) => numberToAddress(BigInt(address), 4);

/** The longest prefix that holds an address, by looking at all of them. */
function naiveOwner(peers: readonly UdpPeer[], address: number): number {
  let best = NOBODY;
  let longest = -1;
  peers.forEach(({ subnet }, index) => {
    const length = Number(subnet.split("/")[1]);
    if (length >= longest && prefixContains(subnet, text(address))) {
      [best, longest] = [index, length];
    }
  });
  return best;
}

/** Few distinct addresses, so that prefixes nest and touch. */
const address = fc.tuple(
  fc.constantFrom(0, 10, 127, 255),
  fc.constantFrom(0, 244, 255),
  fc.nat(255),
  fc.nat(255),
).map(([a, b, c, d]) => ((a << 24 | b << 16 | c << 8 | d) >>> 0));
const prefix = fc.tuple(address, fc.nat(32)).map(([a, length]) => networkOf(text(a), length));
const peers = fc.array(
  fc.record({ subnet: prefix, publicIp: fc.nat(200).map((n) => `192.168.2.${n}`) }),
  { maxLength: 40 },
);

Deno.test("ownerOf() finds the longest prefix, as looking at all of them does", () => {
  fc.assert(fc.property(peers, fc.array(address, { minLength: 1 }), (list, addresses) => {
    const table = buildPeerTable(list, 8285);
    // The edges of each prefix are where a mistake would show.
    const edges = list.flatMap(({ subnet }) => {
      const [network = "", length] = subnet.split("/");
      const first = number(network);
      return [
        first - 1,
        first,
        first + 2 ** (32 - Number(length)) - 1,
        first + 2 ** (32 - Number(length)),
      ];
    }).filter((edge) => edge >= 0 && edge <= 0xffffffff);
    for (const one of [...addresses, ...edges, 0, 0xffffffff]) {
      assert.equal(ownerOf(table, one), naiveOwner(list, one), text(one));
    }
  }));
});

Deno.test("ownerOf() knows nobody in an empty table", () => {
  const table = buildPeerTable([], 8285);
  assert.equal(ownerOf(table, 0), NOBODY);
  assert.equal(ownerOf(table, 0xffffffff), NOBODY);
  assert.equal(isPeer(table, number("192.168.2.1")), false);
});

Deno.test("isPeer() knows exactly the peers' addresses", () => {
  fc.assert(fc.property(peers, fc.nat(255), (list, last) => {
    const table = buildPeerTable(list, 8285);
    const publicIp = `192.168.2.${last}`;
    assert.equal(isPeer(table, number(publicIp)), list.some((peer) => peer.publicIp === publicIp));
  }));
});

Deno.test("buildPeerTable() writes each peer's address and port as the kernel reads them", () => {
  const table = buildPeerTable([{ subnet: "10.244.1.0/24", publicIp: "192.168.2.102" }], 8285);
  assert.deepEqual([...table.sockaddrs], [2, 0, 0x20, 0x5d, 192, 168, 2, 102, ...Array(8).fill(0)]);
});
