import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { configFromFlannel } from "./config.ts";
import { readNetConf } from "./flannel.ts";

const conf = (backend: object, more: object = {}) =>
  JSON.stringify({ Network: "10.5.0.0/16", ...more, Backend: backend });
const vxlan = (more: object) => conf({ Type: "vxlan", ...more });

function refused(text: string, pattern: RegExp): void {
  assert.throws(() => configFromFlannel(text), (error) => {
    assert.ok(error instanceof KnetError, String(error));
    assert.equal(error.exitCode, 2);
    assert.match(error.message, pattern);
    assert.ok(error.remedy);
    return true;
  }, text);
}

Deno.test("readNetConf() refuses what asks for IPv6, and says what of it has no effect", () => {
  refused(conf({}, { EnableIPv6: true, IPv6Network: "fd00::/48" }), /EnableIPv6 is true/);
  refused(conf({}, { EnableIPv4: false }), /EnableIPv4 is false/);
  refused(conf({}, { EnableIPv4: false, EnableIPv6: true }), /EnableIPv6 is true/);
  refused('{"EnableIPv6": true, "IPv6Network": "fd00::/48"}', /EnableIPv6 is true/);
  const { warnings } = readNetConf(
    conf({}, { EnableIPv6: false, EnableIPv4: true, IPv6Network: "fd00::/48", IPv6SubnetLen: 64 }),
  );
  assert.deepEqual(warnings, [
    "IPv6Network, IPv6SubnetLen has no effect: EnableIPv6 is not true",
  ]);
});

Deno.test("readNetConf() takes no value of another kind than the key's", () => {
  const wrong: [object, RegExp][] = [
    [{ DirectRouting: "no" }, /"Backend\.DirectRouting" is "no"/],
    [{ DirectRouting: "true" }, /"Backend\.DirectRouting" is "true"/],
    [{ DirectRouting: 1 }, /"Backend\.DirectRouting" is 1/],
    [{ GBP: "yes" }, /"Backend\.GBP" is "yes"/],
    [{ Learning: 0 }, /"Backend\.Learning" is 0/],
    [{ Port: "8472" }, /"Backend\.Port" is "8472"/],
    [{ VNI: "1" }, /"Backend\.VNI" is "1"/],
    [{ VNI: 1.5 }, /"Backend\.VNI" is 1\.5/],
    [{ MTU: [1400] }, /"Backend\.MTU" is \[1400\]/],
    [{ MacPrefix: 0x0e2a }, /"Backend\.MacPrefix" is 3626/],
  ];
  for (const [more, pattern] of wrong) refused(vxlan(more), pattern);
  refused(conf({ Type: 1 }), /"Backend\.Type" is 1/);
  refused(conf({}, { SubnetLen: "24" }), /"SubnetLen" is "24"/);
  refused(conf({}, { SubnetMin: 10 }), /"SubnetMin" is 10/);
  refused(conf({}, { EnableIPv6: "true" }), /"EnableIPv6" is "true"/);
  refused('{"Network": ["10.5.0.0/16"]}', /"Network" is \["10\.5\.0\.0\/16"\]/);
  refused('{"Network": "10.5.0.0/16", "Backend": "vxlan"}', /"Backend" is "vxlan"/);
  refused('{"Network": "10.5.0.0/16", "Backend": []}', /"Backend" is \[\]/);
});

Deno.test("readNetConf() refuses keys that nobody knows, and one key twice", () => {
  refused(conf({}, { SubnetLenn: 25 }), /unknown key "SubnetLenn"/);
  refused(vxlan({ DirectRoute: true }), /unknown key "Backend\.DirectRoute"/);
  refused(vxlan({ PSK: "x" }), /unknown key "Backend\.PSK"/);
  refused(vxlan({ Port: 1, port: 2 }), /"Backend\.Port" twice/);
});

Deno.test("readNetConf() says which options have no effect", () => {
  const told = (text: string) => {
    const warnings: string[] = [];
    configFromFlannel(text, (sentence) => warnings.push(sentence));
    return warnings.join("\n");
  };
  assert.match(told(vxlan({ GBP: true })), /^Backend\.GBP has no effect/);
  assert.match(told(vxlan({ Learning: true })), /^Backend\.Learning has no effect/);
  assert.match(told(vxlan({ MacPrefix: "0E-2A" })), /^Backend\.MacPrefix has no effect/);
  assert.match(told(conf({ Type: "host-gw", VNI: 7 })), /^Backend\.VNI has no effect: host-gw has/);
  assert.match(told(conf({ Type: "udp", DirectRouting: true })), /^Backend\.DirectRouting/);
  assert.match(told(conf({}, { EnableNFTables: false })), /^EnableNFTables has no effect/);
  const silent = { GBP: false, Learning: false, DirectRouting: true, VNI: 3, Port: 0, MTU: 0 };
  assert.equal(told(vxlan(silent)), "");
});

Deno.test("readNetConf() reads letters of either case and null as flannel does", () => {
  const { network, backend } = readNetConf(
    '{"network": "10.5.0.0/16", "SubnetLen": 0, "backend": {"type": "VXLAN", "vni": 7, "Port": null}}',
  );
  assert.equal(network, "10.5.0.0/16");
  assert.deepEqual(backend, { type: "vxlan", vni: 7 });
  assert.equal(configFromFlannel("\uFEFF" + vxlan({})).backend.type, "vxlan");
});

Deno.test("configFromFlannel() refuses backends that knet has not, whatever options they have", () => {
  for (const Type of ["wireguard", "ipsec", "ipip", "extension", "alloc", "aws-vpc", ""]) {
    refused(conf({ Type, PSK: "x", ListenPort: "y" }), /there is no such backend/);
  }
});
