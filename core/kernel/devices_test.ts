import assert from "node:assert/strict";
import { sampleAddress, sampleLink } from "../../tests/support/samples.ts";
import { planAddresses } from "./device_addresses.ts";
import { type DeviceSpec, planDevice } from "./devices.ts";
import { KnetError } from "../base/error.ts";
import { markOf } from "./owner.ts";

const spec: DeviceSpec & { mac: string } = {
  name: "knet.1",
  kind: "vxlan",
  mac: "02:00:00:00:00:01",
  mtu: 1450,
  addresses: ["10.244.1.0/32"],
  vxlan: { vni: 1, port: 8472, local: "192.168.2.1", link: 2 },
};
const right = sampleLink({
  index: 7,
  name: "knet.1",
  kind: "vxlan",
  mac: spec.mac,
  mtu: 1450,
  addrGenMode: 1,
  vxlan: { vni: 1, port: 8472, local: "192.168.2.1", link: 2, learning: false },
});
const vxlan = right.vxlan!;

Deno.test("planDevice() keeps a device of the right shape, so that a restart loses no packet", () => {
  assert.deepEqual(planDevice(spec, [right]), { action: "keep", index: 7 });
});

Deno.test("planDevice() creates what is not there", () => {
  assert.deepEqual(planDevice(spec, [sampleLink({ index: 2, name: "eth0" })]), {
    action: "create",
  });
});

Deno.test("planDevice() changes in place what the kernel can change", () => {
  const change = (link: Partial<typeof right>) => planDevice(spec, [{ ...right, ...link }]);
  assert.deepEqual(change({ mac: "02:99:00:00:00:00", mtu: 1500, up: false }), {
    action: "change",
    index: 7,
    change: { mac: spec.mac, mtu: 1450, up: true },
  });
  assert.deepEqual(change({ vxlan: { ...vxlan, local: "192.168.2.9" } }), {
    action: "change",
    index: 7,
    change: { vxlan: { local: "192.168.2.1", link: 2 } },
  });
  assert.deepEqual(change({ addrGenMode: 0 }), {
    action: "change",
    index: 7,
    change: { addrGenMode: 1 },
  });
});

Deno.test("planDevice() replaces what the kernel cannot change, and says why", () => {
  const why = (link: Partial<typeof right>) => {
    const plan = planDevice(spec, [{ ...right, ...link }]);
    return plan.action === "replace" ? plan.why : plan.action;
  };
  assert.equal(why({ kind: "bridge" }), "it is a bridge device");
  assert.equal(why({ vxlan: { ...vxlan, vni: 2 } }), "its VNI is 2");
  assert.equal(why({ vxlan: { ...vxlan, port: 4789 } }), "its port is 4789");
  assert.equal(why({ vxlan: { ...vxlan, learning: true } }), "it learns addresses");
  const { kind: _, ...physical } = right;
  const plan = planDevice(spec, [physical]);
  assert.ok(plan.action === "replace" && plan.why === "it is a physical device");
});

Deno.test("planDevice() refuses another owner of VNI and port by name", () => {
  const flannel = { ...right, index: 9, name: "flannel.1" };
  assert.throws(() => planDevice(spec, [flannel]), (error) => {
    assert.ok(error instanceof KnetError);
    assert.match(error.message, /"flannel\.1" owns VNI 1 on port 8472/);
    return true;
  });
  const otherPort = { ...flannel, vxlan: { ...vxlan, port: 4789 } };
  const otherVni = { ...flannel, vxlan: { ...vxlan, vni: 2 } };
  assert.equal(planDevice(spec, [otherPort, otherVni, right]).action, "keep");
});

Deno.test("planDevice() asks nothing of a bridge but its kind, MAC address and MTU", () => {
  const { vxlan: _, ...rest } = spec;
  const bridge: DeviceSpec = { ...rest, name: "knet0", kind: "bridge" };
  const link = sampleLink({ index: 3, name: "knet0", kind: "bridge", mac: spec.mac, mtu: 1450 });
  assert.deepEqual(planDevice(bridge, [link]), { action: "keep", index: 3 });
  assert.deepEqual(planDevice(bridge, [{ ...link, carrier: false }]), { action: "keep", index: 3 });
});

Deno.test("planAddresses() adds what is missing and removes what is not knet's own device's", () => {
  const there = sampleAddress({ ifindex: 7, address: "10.9.9.9", prefixLength: 32 });
  const six = sampleAddress({ ifindex: 7, address: "fe80::1", prefixLength: 64 });
  const elsewhere = sampleAddress({ ifindex: 8, address: "10.244.1.0", prefixLength: 32 });
  assert.deepEqual(planAddresses(spec, 7, [there, six, elsewhere]), {
    add: ["10.244.1.0/32"],
    remove: [there, six],
  });
  const own = sampleAddress({ ifindex: 7, address: "10.244.1.0", prefixLength: 32 });
  assert.deepEqual(planAddresses(spec, 7, [own]), { add: [], remove: [] });
});

Deno.test("planAddresses() leaves addresses outside the own network to the administrator", () => {
  const bridge = { ...spec, addresses: ["10.244.1.1/24"], ownNetwork: "10.244.0.0/16" };
  const old = sampleAddress({ ifindex: 7, address: "10.244.9.1" });
  const narrower = sampleAddress({ ifindex: 7, address: "10.244.1.1", prefixLength: 25 });
  const theirs = sampleAddress({ ifindex: 7, address: "192.168.77.1" });
  const six = sampleAddress({ ifindex: 7, address: "fe80::1", prefixLength: 64 });
  assert.deepEqual(planAddresses(bridge, 7, [old, narrower, theirs, six]), {
    add: ["10.244.1.1/24"],
    remove: [old, narrower],
  });
});

Deno.test("planAddresses() replaces an address that runs out, or that is not known everywhere", () => {
  const own = sampleAddress({ ifindex: 7, address: "10.244.1.0", prefixLength: 32 });
  for (const wrong of [{ permanent: false }, { scope: 253 }, { prefixLength: 24 }]) {
    const there = { ...own, ...wrong };
    assert.deepEqual(planAddresses(spec, 7, [there]), { add: ["10.244.1.0/32"], remove: [there] });
  }
});

const owner = { id: "a1", dataDir: "/var/lib/knet" };
const marked = { ...spec, owner };

Deno.test("planDevice() marks what is knet's, and again where somebody took the mark away", () => {
  const change = { action: "change", index: 7, change: { alias: markOf(owner) } };
  for (const alias of [undefined, "", "of the lab", markOf({ id: "a1", dataDir: "/old" })]) {
    const link = alias === undefined ? right : { ...right, alias };
    assert.deepEqual(planDevice(marked, [link]), change, alias);
  }
  const own = { ...right, alias: markOf(owner) };
  assert.deepEqual(planDevice(marked, [own]), { action: "keep", index: 7 });
});

Deno.test("planDevice() never gives up a device of somebody else's whose name was given as the bridge's", () => {
  const { vxlan: _, ...rest } = marked;
  const bridge = (name: string): DeviceSpec => ({ ...rest, name, kind: "bridge" });
  for (const kind of ["bond", "vlan", undefined]) {
    const { kind: _, ...bare } = right;
    const uplink = { ...bare, name: "up0", ...(kind !== undefined && { kind }) };
    assert.throws(
      () => planDevice(bridge("up0"), [uplink]),
      (error) => error instanceof KnetError && error.exitCode === 2 && /"up0"/.test(error.message),
      kind,
    );
    assert.equal(planDevice(bridge("knet0"), [{ ...uplink, name: "knet0" }]).action, "replace");
  }
});

Deno.test("planDevice() takes what carries the overlay out of a bridge, and makes it anew under its own name", () => {
  assert.deepEqual(planDevice(spec, [{ ...right, master: 9 }]), {
    action: "change",
    index: 7,
    change: { master: 0 },
  });
  const renamed = { ...right, name: "lost", alias: markOf(owner) };
  assert.deepEqual(planDevice(marked, [renamed]), {
    action: "replace",
    index: 7,
    why: "of its name",
  });
});

Deno.test("planDevice() refuses a device that another knet marked, of the wrong kind too", () => {
  const alias = markOf({ id: "b2", dataDir: "/srv/knet" });
  for (const kind of ["vxlan", "bridge"]) {
    assert.throws(
      () => planDevice(marked, [{ ...right, kind, alias }]),
      (error) => error instanceof KnetError && error.exitCode === 4 && /srv/.test(error.message),
    );
  }
});

Deno.test("planDevice() leaves IPv6 and its own note to a bridge that somebody else made", () => {
  const { vxlan: _, ...rest } = marked;
  const cni: DeviceSpec = { ...rest, name: "cni0", kind: "bridge" };
  const link = sampleLink({ index: 3, name: "cni0", kind: "bridge", mtu: 1450, addrGenMode: 0 });
  const plan = (alias?: string, mac = link.mac) =>
    planDevice(cni, [{ ...link, mac, ...(alias !== undefined && { alias }) }]);
  const used = markOf(owner, false);
  assert.deepEqual(plan(), {
    action: "change",
    index: 3,
    change: { alias: used, mac: spec.mac },
  });
  assert.deepEqual(plan(used, spec.mac), { action: "keep", index: 3 });
  assert.deepEqual(plan("containers", spec.mac), { action: "keep", index: 3 });
  // With the MAC address that knet gives, and no note: made by an earlier version.
  assert.deepEqual(plan(undefined, spec.mac), {
    action: "change",
    index: 3,
    change: { alias: markOf(owner), addrGenMode: 1 },
  });
});
