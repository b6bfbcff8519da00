import assert from "node:assert/strict";
import { type Listener, parseEndpoints, parseSockets } from "./listeners.ts";
import { isPublishedBy, keepersFor, type PortFacts, portFault } from "./publish.ts";

const facts: PortFacts = {
  book: [],
  listeners: [],
  tunnel: 8472,
  own: new Set(["192.168.2.1", "10.244.1.1"]),
  vips: new Set(["10.96.0.10"]),
};
const port = { hostPort: 8080, protocol: "tcp" as const };

Deno.test("portFault() names the container, the listener or the tunnel that has a port", () => {
  assert.equal(portFault(port, facts), undefined);
  const record = {
    netns: "old",
    name: "web",
    netnsId: "cookie:1",
    ifname: "eth0",
    address: "10.244.1.2",
    prefixLength: 24,
    hostIfname: "kv1",
    ports: [{ ...port, hostIp: "192.168.2.1", containerPort: 80 }],
  };
  const taken = portFault(port, { ...facts, book: [record] });
  assert.equal(taken?.state, 'container "web" (10.244.1.2) has published it');
  assert.equal(taken?.exitCode, 4);
  assert.equal(portFault({ ...port, protocol: "udp" }, { ...facts, book: [record] }), undefined);
  assert.match(portFault({ hostPort: 8472, protocol: "udp" }, facts)?.state ?? "", /tunnel/);
  assert.equal(portFault({ hostPort: 8472, protocol: "tcp" }, facts), undefined);
});

Deno.test("portFault() takes a listener at one address for one of a port at all of them, but not one at a virtual IP", () => {
  const at = (hostIp: string): PortFacts => ({
    ...facts,
    listeners: [{ ...port, hostIp, six: false, inode: 0 }],
  });
  assert.equal(portFault(port, at("127.0.0.1"))?.state, "the kernel listens there");
  assert.equal(portFault({ ...port, hostIp: "192.168.2.1" }, at("127.0.0.1")), undefined);
  assert.equal(portFault(port, at("10.96.0.10")), undefined);
});

Deno.test("portFault() leaves a port to the container that its runtime keeps it for, and to no other's", () => {
  const kept = (runtime: string | undefined, holder: string) =>
    portFault(port, {
      ...facts,
      listeners: [{ ...port, six: false, inode: 7 }],
      keepers: keepersFor(runtime),
    }, () => ({ pid: "812", name: holder }))?.state;
  assert.equal(kept("podman", "podman"), undefined);
  assert.equal(kept("podman", "conmon"), undefined);
  assert.equal(kept("cni", "podman"), undefined);
  assert.equal(kept("cni", "conmon"), "process 812 (conmon) listens there");
  assert.equal(kept("podman", "nginx"), "process 812 (nginx) listens there");
  assert.equal(kept(undefined, "podman"), "process 812 (podman) listens there");
  assert.equal(kept("docker", "podman"), "process 812 (podman) listens there");
});

Deno.test("isPublishedBy() knows a port that the same container has by another interface, and no other's", () => {
  const whole = { ...port, containerPort: 80 };
  const identity = { runtime: "podman", containerId: "aaa" };
  const record = {
    ...{ netns: "web", netnsId: "cookie:1", ifname: "eth0", hostIfname: "kv1" },
    ...{ address: "10.244.1.2", prefixLength: 24, ports: [whole] },
    ...identity,
  };
  assert.equal(isPublishedBy(whole, [record], identity), true);
  assert.equal(isPublishedBy({ ...whole, containerPort: 81 }, [record], identity), false);
  assert.equal(isPublishedBy({ ...whole, hostIp: "127.0.0.1" }, [record], identity), false);
  assert.equal(isPublishedBy(whole, [record], { ...identity, containerId: "bbb" }), false);
  assert.equal(isPublishedBy(whole, [record], { ...identity, runtime: "cni" }), false);
  assert.equal(isPublishedBy(whole, [record], undefined), false);
});

Deno.test("portFault() refuses virtual IPs and addresses that this host does not have", () => {
  assert.deepEqual(
    [portFault({ ...port, hostIp: "10.96.0.10" }, facts)?.exitCode],
    [4],
  );
  const other = portFault({ ...port, hostIp: "192.168.2.9" }, facts);
  assert.equal(other?.state, "192.168.2.9 is no address of this host");
  assert.equal(other?.exitCode, 2);
  assert.equal(portFault({ ...port, hostIp: "127.0.0.53" }, facts), undefined);
});

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

Deno.test("parseSockets() reads who listens, and passes over connections", () => {
  const line = (local: string, state: string, inode: number) =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`;
  const text = HEAD + line("0100007F:1F90", "0A", 11) + line("00000000:0050", "0A", 12) +
    line("0100007F:1F91", "01", 13);
  const expected: Listener[] = [
    { protocol: "tcp", hostPort: 8080, hostIp: "127.0.0.1", six: false, inode: 11 },
    { protocol: "tcp", hostPort: 80, six: false, inode: 12 },
  ];
  assert.deepEqual(parseSockets(text, "tcp"), expected);
  const six = HEAD + line("00000000000000000000000000000000:0050", "07", 14) +
    line("0000000000000000FFFF00000100007F:0051", "07", 15) +
    line("00000000000000000000000001000000:0052", "07", 16);
  assert.deepEqual(parseSockets(six, "udp"), [
    { protocol: "udp", hostPort: 80, six: true, inode: 14 },
    { protocol: "udp", hostPort: 81, hostIp: "127.0.0.1", six: false, inode: 15 },
  ]);
  assert.deepEqual(parseSockets("", "tcp"), []);
});

Deno.test("parseEndpoints() reads SCTP's, each address of an end", () => {
  const text =
    ` ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n ffff8f4b ffff8f4c 2   10  29   3868     0 17 192.168.2.1 10.0.0.1 \n ffff8f4b ffff8f4c 2   7   29   3869     0 18 0.0.0.0 \n`;
  const end = { protocol: "sctp", hostPort: 3868, six: false, inode: 17 };
  assert.deepEqual(parseEndpoints(text), [
    { ...end, hostIp: "192.168.2.1" },
    { ...end, hostIp: "10.0.0.1" },
  ]);
});
