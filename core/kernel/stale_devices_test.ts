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
  staleDevices(links(mark), keep, { owner, recorded }).map(({ name }) => name);

Deno.test("staleDevices() are the backends' devices that are not the wanted one, and nobody else's", () => {
  assert.deepEqual(names({ alias }, "knet.1"), ["knet.22", "knet.tun0"]);
  assert.deepEqual(names({ alias }, "knet.tun0"), ["knet.1", "knet.22"]);
  assert.deepEqual(names({ alias }), ["knet.1", "knet.22", "knet.tun0"]);
});

Deno.test("staleDevices() has none that another knet marked, whatever was recorded here", () => {
  assert.deepEqual(names({ alias: theirs }, undefined, ["knet.1", "knet.22"]), []);
});

Deno.test("staleDevices() knows one without a mark, of an earlier version, by what this host recorded", () => {
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({}, undefined, ["knet.22", "knet.tun0"]), ["knet.22", "knet.tun0"]);
  assert.deepEqual(names({ alias: "of the lab" }, "knet.1", ["knet.1", "knet.22"]), ["knet.22"]);
});
