import assert from "node:assert/strict";
import fc from "fast-check";
import { anyServices, service } from "../../../tests/support/services.ts";
import { KnetError } from "../../base/error.ts";
import { writeIpvsadm } from "./ipvsadm.ts";
import { importedName } from "./imported.ts";
import { type NameResolver, prefixLengthOf, readIpvsadm } from "./ipvsadm_read.ts";
import { parseHosts, parseServices } from "./names.ts";

const names: NameResolver = {
  host: (name) => Promise.resolve(name === "web.example" ? "10.244.0.5" : undefined),
  port: (name, protocol) => name === "http" && protocol === "tcp" ? 80 : undefined,
};

const read = async (text: string) =>
  (await readIpvsadm(text, "a", names)).services.map((one) => one.make(importedName(one)));

Deno.test("writeIpvsadm() sorts as ipvsadm does and writes what its version 1.31 writes", () => {
  const rules = writeIpvsadm([
    service("c", { protocol: "udp", onePacket: true, port: 53 }),
    service("d", {
      vip: "fd00::10",
      scheduler: "mh",
      schedulerFlags: ["mh-fallback", "mh-port"],
      persistent: 60,
      persistenceNetmask: 64,
      destinations: [{ address: "fd00:1::2", port: 8080, weight: 7 }],
    }),
    service("a", { vip: "10.96.0.9", port: 443, persistent: 300, persistenceNetmask: 20 }),
    service("b", {
      vip: "10.96.0.9",
      forward: "tunnel",
      destinations: [{ address: "10.244.10.1" }, { address: "10.244.9.1", weight: 0 }],
    }),
    service("e", { protocol: "sctp", forward: "dr", destinations: [{ address: "10.244.0.1" }] }),
  ]);
  assert.deepEqual(rules.split("\n"), [
    "-A -t 10.96.0.9:80 -s rr",
    "-a -t 10.96.0.9:80 -r 10.244.9.1:80 -i -w 0 --tun-type ipip",
    "-a -t 10.96.0.9:80 -r 10.244.10.1:80 -i -w 1 --tun-type ipip",
    "-A -t 10.96.0.9:443 -s rr -p 300 -M 255.255.240.0",
    "-a -t 10.96.0.9:443 -r 10.244.0.1:8080 -m -w 1",
    "-a -t 10.96.0.9:443 -r 10.244.1.1:8080 -m -w 1",
    "-A -u 10.96.0.10:53 -s rr -o",
    "-a -u 10.96.0.10:53 -r 10.244.0.1:8080 -m -w 1",
    "-a -u 10.96.0.10:53 -r 10.244.1.1:8080 -m -w 1",
    "-A --sctp-service 10.96.0.10:80 -s rr",
    "-a --sctp-service 10.96.0.10:80 -r 10.244.0.1:80 -g -w 1",
    "-A -t [fd00::10]:80 -s mh -p 60 -M 64 -b mh-fallback,mh-port",
    "-a -t [fd00::10]:80 -r [fd00:1::2]:8080 -m -w 7",
    "",
  ]);
});

Deno.test("readIpvsadm() reads what writeIpvsadm() writes, into the services that there are", async () => {
  await fc.assert(fc.asyncProperty(anyServices(), async (services) => {
    const imported = await readIpvsadm(writeIpvsadm(services), "a", names);
    const known = new Map(services.map((one) => [`${one.vip} ${one.port} ${one.protocol}`, one]));
    const made = imported.services.map((one) => {
      const base = known.get(`${one.vip} ${one.port} ${one.protocol}`)!;
      return one.make(base.name, base);
    });
    const byName = (list: typeof services) => list.toSorted((a, b) => a.name < b.name ? -1 : 1);
    assert.deepEqual(byName(made), byName(services));
  }));
});

Deno.test("readIpvsadm() reads names, long options and defaults as ipvsadm does", async () => {
  const services = await read(`
# made by hand
--add-service --tcp-service web.example:http --scheduler wrr
--add-server --tcp-service 10.244.0.5:80 --real-server=10.244.9.1:http --masquerading --weight 3
-A -u 10.96.0.53:53 -p
-A -t 10.96.0.7:80 -s sh -b flag-1,sh-port -p 30
-a -t 10.96.0.7:80 -r 10.244.9.2 -x 100 -y 50
`);
  assert.deepEqual(
    services.map((one) => [one.name, one.scheduler, one.forward, one.persistent]),
    [
      ["vs-10.244.0.5-80-tcp", "wrr", "nat", 0],
      ["vs-10.96.0.53-53-udp", "wlc", "nat", 360],
      ["vs-10.96.0.7-80-tcp", "sh", "dr", 30],
    ],
  );
  assert.deepEqual(services[0]!.destinations[0], {
    address: "10.244.9.1",
    port: 80,
    weight: 3,
    upper: 0,
    lower: 0,
  });
  assert.deepEqual(services[2]!.schedulerFlags, ["sh-fallback", "sh-port"]);
  assert.deepEqual(services[2]!.destinations[0], {
    address: "10.244.9.2",
    port: 80,
    weight: 1,
    upper: 100,
    lower: 50,
  });
});

Deno.test("readIpvsadm() takes timeouts of --set", async () => {
  assert.deepEqual((await readIpvsadm("--set 900 120 300", "a", names)).timeouts, {
    tcp: 900,
    tcpfin: 120,
    udp: 300,
  });
});

const A = "-A -t 10.96.0.10:80 -s rr";
const BAD: readonly [line: string, message: RegExp][] = [
  ["ipvsadm -A", /line 2: "ipvsadm" is not a rule/],
  ["-D -t 10.96.0.10:80", /line 2: "-D" is not a rule/],
  ["-A -s rr", /line 2: there is no virtual server/],
  ["-A -t", /line 2: "-t" needs a value/],
  [A, /line 2: the virtual server is there already, from line 1/],
  ["-A -t 10.96.0.300:80", /line 2: cannot read the address "10\.96\.0\.300"/],
  ["-A -t nowhere:80", /line 2: the host name "nowhere" has no address/],
  ["-A -t 10.96.0.11:gopher", /line 2: \/etc\/services has no "gopher" of tcp/],
  ["-A -t 10.96.0.11:0 -p 30", /line 2: knet has no services for all ports/],
  ["-A -t 10.96.0.11:70000", /line 2: cannot use port 70000/],
  ["-A -t 10.96.0.11:80 -s fair", /line 2: cannot use scheduler "fair"/],
  ["-A -t 10.96.0.11:80 -p x", /line 2: "x" is not a number of seconds/],
  ["-A -t 10.96.0.11:80 -p 30 -M 255.0.255.0", /line 2: "255\.0\.255\.0" is not a netmask/],
  ["-A -t 10.96.0.11:80 -p 30 --pe sip", /line 2: knet has no persistence engines/],
  ["-A -t 10.96.0.11:80 -w 1", /line 2: "-w" is no option of -A/],
  ["-A -f", /line 2: "-f" needs a value/],
  ["-A -f web -s rr", /line 2: "web" is not a firewall mark/],
  ["-A -f 5 -t 10.96.0.11:80", /line 2: there are two virtual servers/],
  ["-A -t 10.96.0.11:80 -o", /line 2: cannot use one-packet scheduling/],
  ["-a -t 10.96.0.10:80 -m", /line 2: there is no real server: give -r/],
  [
    "-a -t 10.96.0.11:80 -r 10.244.0.1",
    /line 2: there is no virtual server of this address before/,
  ],
  ["-a -t 10.96.0.10:80 -r 10.244.0.1:81 -g", /line 2: cannot use real server 10\.244\.0\.1:81/],
  ["-a -t 10.96.0.10:80 -r 10.244.0.1 -w 70000", /line 2: cannot use weight 70000/],
  ["-a -t 10.96.0.10:80 -r 10.244.0.1 -w -1", /line 2: "-1" is not a weight/],
  ["-a -t 10.96.0.10:80 -r 10.244.0.1 -i --tun-type gue", /line 2: tunnels of type "gue"/],
  ["--set 900 120", /line 2: --set needs three numbers/],
  ["--set 99999999999 120 300", /line 2: cannot use timeout tcp 99999999999/],
  // More than the kernel takes at HZ=1000, though ipvsadm would pass it on.
  ["--set 900 120 2160000", /line 2: cannot use timeout udp 2160000: .*between 0 and 2073600/],
];

Deno.test("readIpvsadm() names the line of what is wrong", async () => {
  for (const [line, message] of BAD) {
    await assert.rejects(read(`${A}\n${line}\n`), (error) => {
      assert.ok(error instanceof KnetError, String(error));
      assert.equal(error.exitCode, 2);
      assert.match(error.message, message);
      return true;
    }, line);
  }
  await assert.rejects(
    read(`${A}\n-a -t 10.96.0.10:80 -r 10.244.0.1 -g\n-a -t 10.96.0.10:80 -r 10.244.0.2 -m\n`),
    /line 3: the virtual server forwards by dr and nat/,
  );
});

Deno.test("readIpvsadm() leaves rules of firewall marks out and names them", async () => {
  const { services, warnings } = await readIpvsadm(
    `${A}
-A -f 5 -s rr -6
-a -f 5 -r 10.244.0.1:0 -g -w 1
-A --fwmark-service=7 -s wlc --pe sip
-a -f 5 -r 10.244.0.2:0 -g -w 1
-a -t 10.96.0.10:80 -r 10.244.0.1 -m
`,
    "a",
    names,
  );
  assert.deepEqual(services.map(({ vip }) => vip), ["10.96.0.10"]);
  assert.deepEqual(warnings, [
    "Left out the rules of firewall mark 5 in lines 2, 3, 5: knet has no firewall marks",
    "Left out the rules of firewall mark 7 in line 4: knet has no firewall marks",
  ]);
  assert.deepEqual((await readIpvsadm(A, "a", names)).warnings, []);
});

Deno.test("prefixLengthOf() reads netmasks and prefix lengths", () => {
  for (let length = 1; length <= 32; length++) {
    assert.equal(prefixLengthOf(String(length), 4), length);
  }
  assert.equal(prefixLengthOf("255.255.255.255", 4), 32);
  assert.equal(prefixLengthOf("128.0.0.0", 4), 1);
  assert.equal(prefixLengthOf("64", 6), 64);
  assert.throws(() => prefixLengthOf("0.0.0.0", 4), SyntaxError);
  assert.throws(() => prefixLengthOf("129", 6), SyntaxError);
});

Deno.test("parseServices() reads names and aliases of /etc/services", () => {
  const ports = parseServices("# a\nhttp\t80/tcp  www # web\ndomain 53/udp\nbad line\n");
  assert.deepEqual([...ports], [["http tcp", 80], ["www tcp", 80], ["domain udp", 53]]);
});

Deno.test("parseHosts() reads names and aliases of /etc/hosts, IPv4 first", () => {
  const hosts = parseHosts("::1 localhost\n127.0.0.1\tlocalhost me # here\n10.0.0.1 web www\n");
  assert.deepEqual([...hosts], [
    ["localhost", "127.0.0.1"],
    ["me", "127.0.0.1"],
    ["web", "10.0.0.1"],
    ["www", "10.0.0.1"],
  ]);
});
