import assert from "node:assert/strict";
import { digestOf, parseIpvs, sameServers } from "./ipvs_proc.ts";

const HEAD = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
`;
const TEXT = `${HEAD}TCP  0A600001:0050 rr 
  -> 0AF40105:1F90      Masq    1      2          30        
  -> 0AF40205:1F90      Masq    65535  0          0         
UDP  0A600001:0035 wrr ops 
TCP  0A600002:01BB sh persistent 300 FFFFFF00
  -> C0A80205:01BB      Route   0      0          0         
TCP  [fd00:0096:0000:0000:0000:0000:0000:0001]:0050 mh persistent 60 80000000
  -> [fd00:0244:0001:0000:0000:0000:0000:0005]:0050      Tunnel  1      0          0         
FWM  00000007 wlc 
`;

Deno.test("parseIpvs() reads virtual and real servers of both families", () => {
  const services = parseIpvs(TEXT);
  assert.deepEqual(
    services.map((s) => [s.protocol, s.address, s.port, s.scheduler, s.dests.length]),
    [
      ["TCP", "10.96.0.1", 80, "rr", 2],
      ["UDP", "10.96.0.1", 53, "wrr", 0],
      ["TCP", "10.96.0.2", 443, "sh", 1],
      ["TCP", "fd00:96::1", 80, "mh", 1],
      ["FWM", "", 7, "wlc", 0],
    ],
  );
  assert.deepEqual(services[0]!.dests[0], {
    family: 4,
    address: "10.244.1.5",
    port: 8080,
    forward: "Masq",
    weight: 1,
    activeConnections: 2,
    inactiveConnections: 30,
  });
  assert.equal(services[0]!.dests[1]!.weight, 65535);
  assert.equal(services[1]!.onePacket, true);
  assert.deepEqual([services[2]!.persistent, services[2]!.netmask], [300, 24]);
  assert.deepEqual([services[3]!.persistent, services[3]!.netmask], [60, 128]);
  assert.equal(services[3]!.dests[0]!.address, "fd00:244:1::5");
  assert.equal(services[3]!.dests[0]!.forward, "Tunnel");
});

Deno.test("digestOf() changes with everything but the connections", () => {
  const digest = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    return digestOf(bytes, bytes.length);
  };
  const base = digest(TEXT);
  assert.equal(digest(TEXT.replace("2          30 ", "17         456")), base);
  assert.notEqual(digest(TEXT.replace("1      2 ", "2      2 ")), base);
  assert.notEqual(digest(TEXT.replace("0A600001:0050 rr", "0A600001:0050 lc")), base);
  assert.notEqual(digest(TEXT.replace("Route ", "Tunnel")), base);
  assert.notEqual(digest(TEXT.replace(/.*65535.*\n/, "")), base);
  assert.notEqual(digest(TEXT + "FWM  00000008 wlc \n"), base);
});

Deno.test("sameServers() sees what digestOf() sees, whatever byte is another", () => {
  const encoder = new TextEncoder();
  // Longer than a block, so that lines lie across its ends.
  const before = encoder.encode(HEAD + TEXT.slice(HEAD.length).repeat(7));
  const digest = digestOf(before, before.length);
  assert.ok(sameServers(before, before));
  let counters = 0;
  for (let at = HEAD.length; at < before.length; at++) {
    for (const other of ["7", " ", "\n"]) {
      const now = before.slice();
      now[at] = other.charCodeAt(0);
      const same = sameServers(now, before);
      if (same && now[at] !== before[at]) counters++;
      if (same) assert.ok(now[at] !== 10 || before[at] === 10, `a new line at ${at}`);
      else assert.notEqual(digestOf(now, now.length), digest, `"${other}" at ${at}`);
    }
  }
  // Four real servers a time; 21 bytes each, and some that are blank anyway.
  assert.ok(counters >= 7 * 4 * 21 && counters <= 7 * 4 * 21 * 2, `${counters}`);
  const busy = encoder.encode(
    new TextDecoder().decode(before).replaceAll("2          30 ", "17         456"),
  );
  assert.ok(sameServers(busy, before));
});
