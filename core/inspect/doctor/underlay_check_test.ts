import assert from "node:assert/strict";
import type { Link } from "../../../ffi/rtnl/link.ts";
import { sampleState } from "../../../tests/support/samples.ts";
import { routeOf } from "../../../ffi/rtnl/route.ts";
import { type BackendConfig, makeClusterConfig } from "../../cluster/config.ts";
import {
  findUnderlay,
  overlappingRoutes,
  udpPortTaken,
  underlayFinding,
  vxlanRivals,
} from "./underlay_check.ts";

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  index,
  name,
  mac: "",
  mtu: 1500,
  flags: 0,
  up: true,
  carrier: true,
  ...more,
});

Deno.test("vxlanRivals() finds who has VNI and port, or takes every VNI of the port", () => {
  const config = makeClusterConfig({});
  const vxlan = { vni: 1, port: 8472, learning: false };
  const links = [
    link(1, "knet.1", { vxlan }),
    link(2, "flannel.1", { vxlan }),
    link(3, "other", { vxlan: { ...vxlan, vni: 2 } }),
    link(4, "standard", { vxlan: { ...vxlan, port: 4789 } }),
    link(5, "any", { vxlan: { ...vxlan, vni: 0, external: true } }),
    link(6, "eth0"),
  ];
  assert.deepEqual(vxlanRivals(links, config).map(({ name }) => name), ["flannel.1", "any"]);
  const plain = makeClusterConfig({ backend: { type: "host-gw" } });
  assert.deepEqual(vxlanRivals(links, plain), []);
});

Deno.test("overlappingRoutes() leaves out default routes, knet's own and CNI's bridge", () => {
  const links = [link(1, "eth0"), link(2, "knet0"), link(3, "cni0")];
  const routes = [
    routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.1", ifindex: 1 }),
    routeOf({ dst: "10.244.7.0/24", ifindex: 1 }),
    routeOf({ dst: "10.0.0.0/8", ifindex: 1 }),
    routeOf({ dst: "10.244.8.0/24", ifindex: 1, protocol: 107 }),
    routeOf({ dst: "10.244.1.0/24", ifindex: 2 }),
    routeOf({ dst: "10.244.1.0/24", ifindex: 3 }),
    routeOf({ dst: "10.245.0.0/16", ifindex: 1 }),
    routeOf({ dst: "10.244.9.0/24", ifindex: 1, table: 100 }),
  ];
  assert.deepEqual(
    overlappingRoutes(routes, links, { network: "10.244.0.0/16" })
      .map(({ text, inTheWay }) => [text, inTheWay]),
    [["10.244.7.0/24 dev eth0", true], ["10.0.0.0/8 dev eth0", false]],
  );
});

Deno.test("udpPortTaken() finds a socket by its local port", () => {
  const head =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
  const line = (port: number, inode: number) =>
    `  123: 00000000:${
      port.toString(16).toUpperCase()
    } 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 ${inode} 2 0 0\n`;
  assert.ok(udpPortTaken(head + line(53, 7) + line(8472, 4711), 8472));
  assert.ok(!udpPortTaken(head.replace("local", "2118:2118") + line(53, 7), 8472), "the head");
  assert.ok(!udpPortTaken(head + line(53, 7), 8472));
  assert.ok(!udpPortTaken("", 8472));
});

Deno.test("underlayFinding() tells of a VRF, a link that is down, the ways of an address on lo, and another way out", () => {
  const address = (ifindex: number, text: string, prefixLength = 24) => ({
    ...{ family: 4 as const, ifindex, address: text, prefixLength },
    ...{ scope: 0, flags: 0x80, permanent: true },
  });
  const finding = (
    links: Link[],
    iface: string,
    publicIp: string,
    ifindex = 1,
    backend?: BackendConfig,
  ) => {
    const facts = {
      links,
      addresses: [
        address(1, "192.168.2.1"),
        address(2, "10.8.0.2"),
        address(3, "10.255.0.1", 32),
      ],
      routes: [routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.254", ifindex })],
    };
    const state = { ...sampleState(), iface, publicIp };
    const { status, detail } = underlayFinding(
      facts,
      findUnderlay(facts, state),
      backend && { backend },
    );
    return `${status}: ${detail}`;
  };
  const links = [link(1, "eth0"), link(2, "tun0"), link(3, "lo", { flags: 8, mtu: 65536 })];
  assert.equal(finding(links, "eth0", "192.168.2.1"), "ok: 192.168.2.1 on eth0, MTU 1500");
  assert.match(finding(links, "eth0", "192.168.2.1", 2), /^ok: .*leads by tun0 now/);
  assert.match(
    finding(links, "lo", "10.255.0.1"),
    /^ok: .* on lo, MTU 1500, packets leave by eth0/,
  );
  const down = [link(1, "eth0", { up: false }), ...links.slice(1)];
  assert.match(finding(down, "eth0", "192.168.2.1"), /^warn: .* eth0 is down/);
  const bare = [link(1, "eth0", { carrier: false }), ...links.slice(1)];
  assert.match(finding(bare, "lo", "10.255.0.1"), /^warn: .* eth0 has no carrier/);
  const vrf = [link(1, "eth0", { master: 9 }), link(9, "mgmt", { kind: "vrf" })];
  const inVrf = (backend?: BackendConfig) => finding(vrf, "eth0", "192.168.2.1", 1, backend);
  // The kernel puts a VXLAN device's socket there: pings through it were seen on Debian's 6.1.
  const vxlan = { type: "vxlan", vni: 1, port: 8472, directRouting: false } as const;
  for (const backend of [undefined, vxlan]) {
    assert.match(inVrf(backend), /^ok: 192\.168\.2\.1 on eth0 in the VRF mgmt, .*MTU 1500$/);
  }
  assert.match(inVrf({ ...vxlan, directRouting: true }), /^warn: .* VRF mgmt: .* no route to them/);
  assert.match(inVrf({ type: "host-gw" }), /^warn: .* VRF mgmt: .* no route to them/);
  assert.match(inVrf({ type: "udp", port: 8285 }), /^warn: .* VRF mgmt: .* not heard/);
});
