import assert from "node:assert/strict";
import { sampleLink } from "../../tests/support/samples.ts";
import { markOf } from "./owner.ts";
import { staleDevices } from "./stale_devices.ts";

const owner = { id: "a1", dataDir: "/var/lib/knet" };
const alias = markOf(owner);
const theirs = markOf({ id: "b2", dataDir: "/srv/knet" });

function links(mark: { alias?: string }) {
  const link = (name: string, kind: string) => sampleLink({ index: 1, name, kind, ...mark });
  return [
    sampleLink({ index: 1, name: "eth0" }),
    link("knet.1", "vxlan"),
    link("knet.22", "vxlan"),
    link("knet.tun0", "tun"),
    link("knet0", "bridge"),
    link("knet-ipvs0", "dummy"),
    link("flannel.1", "vxlan"),
    link("tun0", "tun"),
    link("knet.3", "vlan"),
  ];
}

const names = (mark: { alias?: string }, keep?: string, recorded: readonly string[] = []) =>
  staleDevices(links(mark), keep === undefined ? [] : [keep, "knet0"], { owner, recorded }).map((
    { name },
  ) => name);

Deno.test("staleDevices() are the backends' devices that are not the wanted one, and nobody else's", () => {
  assert.deepEqual(names({ alias }, "knet.1"), ["knet.22", "knet.tun0", "flannel.1", "tun0"]);
  assert.deepEqual(names({ alias }, "knet.tun0"), ["knet.1", "knet.22", "flannel.1", "tun0"]);
  assert.deepEqual(names({ alias }), [
    ...["knet.1", "knet.22", "knet.tun0", "knet0"],
    ...["flannel.1", "tun0"], // Given another name: the mark goes with the device.
  ]);
});

Deno.test("staleDevices() has none that another knet marked, whatever was recorded here", () => {
  assert.deepEqual(names({ alias: theirs }, undefined, ["knet.1", "knet.22"]), []);
});

Deno.test("staleDevices() knows one without a mark, of an earlier version, by what this host recorded", () => {
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({}, undefined, ["knet.22", "knet.tun0"]), ["knet.22", "knet.tun0"]);
  assert.deepEqual(names({ alias: "of the lab" }, "knet.1", ["knet.1", "knet.22"]), ["knet.22"]);
});

Deno.test("staleDevices() has the bridge of another --bridge, unless others hang on it or made it", () => {
  const bridge = (name: string, index: number, alias: string) =>
    sampleLink({ index, name, kind: "bridge", alias });
  const used = markOf(owner, false);
  const all = [bridge("knet9", 2, alias), bridge("br-x", 3, alias), bridge("cni0", 4, used)];
  const stale = (links: typeof all) =>
    staleDevices(links, ["knet0"], { owner, recorded: [] }).map(({ name }) => name);
  assert.deepEqual(stale(all), ["knet9", "br-x"]);
  const port = (master: number) => sampleLink({ index: 9, name: "veth7", kind: "veth", master });
  assert.deepEqual(stale([...all, port(3)]), ["knet9"]);
  assert.deepEqual(stale([...all, port(2)]), ["knet9", "br-x"]);
});
