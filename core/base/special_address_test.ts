import assert from "node:assert/strict";
import { whyNoHostAddress, whyNoNetwork } from "./special_address.ts";

Deno.test("whyNoHostAddress() says what an address is that is not one host's", () => {
  const cases: [address: string, what: RegExp][] = [
    ["0.0.0.0", /unspecified/],
    ["0.1.2.3", /unspecified/],
    ["127.0.0.1", /loopback/],
    ["127.255.255.255", /loopback/],
    ["169.254.169.254", /link-local/],
    ["224.0.0.1", /multicast/],
    ["239.255.255.255", /multicast/],
    ["240.0.0.1", /reserved/],
    ["255.255.255.254", /reserved/],
    ["255.255.255.255", /the broadcast address/],
    ["::", /unspecified/],
    ["::1", /loopback/],
    ["::ffff:10.0.0.1", /^10\.0\.0\.1 in IPv6 notation/],
    ["fe80::1", /link-local/],
    ["febf::1", /link-local/],
    ["ff02::1", /multicast/],
  ];
  for (const [address, what] of cases) assert.match(whyNoHostAddress(address) ?? "", what, address);
});

Deno.test("whyNoHostAddress() lets addresses pass that a host can have", () => {
  for (
    const address of [
      ...["1.0.0.1", "10.0.2.15", "100.64.0.1", "126.1.1.1", "128.0.0.1", "169.253.0.1"],
      ...["169.255.0.1", "192.0.2.1", "223.255.255.255", "2001:db8::1", "fd00::1", "fec0::1"],
    ]
  ) assert.equal(whyNoHostAddress(address), undefined, address);
});

Deno.test("whyNoNetwork() says what a network reaches into, from inside and from around", () => {
  const cases: [network: string, what: RegExp][] = [
    ["127.0.0.0/8", /127\.0\.0\.0\/8, loopback/],
    ["127.5.0.0/16", /loopback/],
    ["224.0.0.0/4", /multicast/],
    ["239.1.0.0/16", /multicast/],
    ["240.0.0.0/8", /reserved/],
    ["169.254.0.0/16", /link-local/],
    ["169.0.0.0/8", /link-local/],
    ["0.0.0.0/8", /unspecified/],
    ["0.0.0.0/0", /unspecified/],
    ["::/8", /unspecified/],
    ["fe80::/16", /link-local/],
    ["ff00::/16", /multicast/],
    ["::ffff:0:0/96", /IPv4 in IPv6/],
  ];
  for (const [network, what] of cases) assert.match(whyNoNetwork(network) ?? "", what, network);
  for (const network of ["10.0.0.0/8", "100.64.0.0/10", "fd00::/8", "2000::/8"]) {
    assert.equal(whyNoNetwork(network), undefined, network);
  }
});
