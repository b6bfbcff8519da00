import assert from "node:assert/strict";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { sampleAddress, sampleLink } from "../../tests/support/samples.ts";
import { driftOf, LinkMemory, type Watched } from "./drift.ts";

const DEVICE = 7, BRIDGE = 8, UNDERLAY = 2, OWN = 4711;

/** @param contradicts Whether the entries are not as the event says. */
function watched(contradicts = false): Watched {
  return {
    devices: new Set([DEVICE, BRIDGE]),
    names: new Set(["knet.1", "knet0"]),
    bridge: "knet0",
    underlay: { ifindex: UNDERLAY, nearby: [{ prefix: "192.168.2.0/24", direct: true }] },
    entries: { contradicts: () => contradicts },
    port: OWN,
  };
}

/** What drift an event is, nobody having seen a link before. */
const drift = (event: object, pid = 0) =>
  driftOf({ deleted: false, pid, ...event } as RtnlEvent, watched(), new LinkMemory());

Deno.test("driftOf() asks the entries about what is neither link nor address", () => {
  const route = routeOf({ dst: "10.244.1.0/24", gateway: "10.244.1.0" });
  for (const event of [{ kind: "route", value: route }, { kind: "fdb", value: {} }]) {
    const told = { deleted: false, pid: 0, ...event } as RtnlEvent;
    assert.equal(driftOf(told, watched(true), new LinkMemory()), "overlay");
    assert.equal(driftOf(told, watched(false), new LinkMemory()), undefined);
  }
  assert.equal(drift({ kind: "other" }), undefined);
});

Deno.test("driftOf() takes a change of our devices' addresses, except by itself", () => {
  const value = sampleAddress({ ifindex: DEVICE, address: "10.244.0.0" });
  assert.equal(drift({ kind: "address", value, deleted: true }), "overlay");
  assert.equal(drift({ kind: "address", value, deleted: true }, OWN), undefined);
  const foreign = sampleAddress({ ifindex: 9, address: "10.1.1.1" });
  assert.equal(drift({ kind: "address", value: foreign }), undefined);
  assert.equal(drift({ kind: "link", value: sampleLink({ index: 9, name: "veth" }) }), undefined);
});

Deno.test("driftOf() asks for the underlay where that changed", () => {
  const address = sampleAddress({ ifindex: UNDERLAY, address: "192.168.2.1" });
  assert.equal(drift({ kind: "address", value: address }), "underlay");
  assert.equal(drift({ kind: "address", value: address, deleted: true }), "underlay");
  const eth0 = sampleLink({ index: UNDERLAY, name: "eth0" });
  assert.equal(drift({ kind: "link", value: eth0, deleted: true }), "underlay");
  const gateway = routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.254" });
  assert.equal(drift({ kind: "route", value: gateway }), "underlay");
  assert.equal(drift({ kind: "netconf" }), "sysctl");
  assert.equal(drift({ kind: "traffic", deleted: true }), "containers");
  assert.equal(drift({ kind: "traffic" }, OWN), undefined);
});

Deno.test("driftOf() asks for the underlay where it is known by another name or device, or not at all", () => {
  const lo = {
    ifindex: 1,
    name: "lo",
    address: "10.255.0.1",
    nearby: [],
    ways: [{ ifindex: 3, name: "swp1" }],
  };
  const about = (event: object, underlay: Watched["underlay"]) =>
    driftOf(
      { deleted: false, pid: 0, ...event } as RtnlEvent,
      { ...watched(), underlay },
      new LinkMemory(),
    );
  const link = (index: number, name: string) => ({
    kind: "link",
    value: sampleLink({ index, name }),
  });
  const address = (ifindex: number, value: string) => ({
    kind: "address",
    value: sampleAddress({ ifindex, address: value }),
  });
  assert.equal(about(link(3, "swp1"), lo), "underlay", "the MTU of the way out");
  assert.equal(about(link(30, "swp1"), lo), "underlay", "deleted and made again");
  assert.equal(about(link(31, "lo"), lo), "underlay");
  assert.equal(about(link(4, "swp2"), lo), undefined);
  assert.equal(about(address(4, "10.255.0.1"), lo), "underlay", "moved to another device");
  assert.equal(about(address(4, "10.255.0.2"), lo), undefined);
  for (const event of [link(4, "swp2"), address(4, "10.255.0.2")]) {
    assert.equal(about(event, undefined), "underlay");
  }
});

Deno.test("driftOf() sees what somebody does to a container's end on the host", () => {
  const memory = new LinkMemory();
  const see = (link: object, deleted = false) =>
    driftOf({ kind: "link", deleted, pid: 0, value: link } as RtnlEvent, watched(), memory);
  const port = {
    ...sampleLink({ index: 20, name: "kv0123456789abc", kind: "veth", master: BRIDGE }),
    hairpin: true,
  };
  see(port);
  assert.equal(see({ ...port, carrier: false }), undefined, "the container's own end is down");
  for (const change of [{ master: 9 }, { up: false }, { hairpin: false }, { mtu: 1400 }]) {
    assert.equal(see({ ...port, ...change }), "containers", JSON.stringify(change));
  }
  assert.equal(see(port, true), "containers");
  assert.equal(see({ ...port, name: "veth0" }), "containers", "it got another name");
  assert.equal(see({ ...port, name: "veth0", master: 9 }), undefined);
});

Deno.test("driftOf() looks at a link only when something that matters has changed", () => {
  const memory = new LinkMemory();
  const see = (link: object, deleted = false) =>
    driftOf({ kind: "link", deleted, pid: 0, value: link } as RtnlEvent, watched(), memory);
  const device = sampleLink({ index: DEVICE, name: "knet.1" });
  see(device);
  assert.equal(see(device), undefined);
  assert.equal(see({ ...device, flags: 0x1043 }), undefined, "flags come and go");
  assert.equal(see({ ...device, mac: "02:99:00:00:00:00" }), "overlay");
  assert.equal(see({ ...device, up: false }), "overlay");
  assert.equal(see({ ...device, carrier: false }), "overlay");
  assert.equal(see({ ...device, mtu: 1400 }), "overlay");
  const vxlan = { vni: 1, port: 8472, local: "192.168.2.1", link: UNDERLAY, learning: false };
  for (
    const change of [
      { vxlan },
      { vxlan: { ...vxlan, local: "192.168.2.9" } },
      { vxlan: { ...vxlan, learning: true } },
      { vxlan: { ...vxlan, link: 3 } },
      { master: 9 },
      { alias: "mine" },
      { addrGenMode: 0 },
      { name: "other" },
    ]
  ) {
    assert.equal(see({ ...device, ...change }), "overlay", JSON.stringify(change));
    assert.equal(see({ ...device, ...change }), undefined);
  }
  assert.equal(see(device, true), "overlay");
  assert.equal(see(sampleLink({ index: 99, name: "knet.1" })), "overlay", "a new one of its name");
  const bridge = sampleLink({ index: BRIDGE, name: "knet0" });
  see(bridge);
  assert.equal(see({ ...bridge, carrier: false }), undefined, "no container is attached");
});
