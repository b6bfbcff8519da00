import assert from "node:assert/strict";
import type { Link } from "../../ffi/rtnl/link.ts";
import { staleDevices } from "./stale_devices.ts";

function link(name: string, kind?: string): Link {
  const common = { index: 1, name, mac: "", mtu: 1500, flags: 0, up: true, carrier: true };
  return kind === undefined ? common : { ...common, kind };
}

const links = [
  link("eth0"),
  link("knet.1", "vxlan"),
  link("knet.22", "vxlan"),
  link("knet.tun0", "tun"),
  link("knet0", "bridge"),
  link("knet-ipvs0", "dummy"),
  link("flannel.1", "vxlan"),
  link("tun0", "tun"),
  link("knet.3", "vlan"),
];
const names = (keep: string | undefined) => staleDevices(links, keep).map(({ name }) => name);

Deno.test("staleDevices() are the backends' devices that are not the wanted one, and nobody else's", () => {
  assert.deepEqual(names("knet.1"), ["knet.22", "knet.tun0"]);
  assert.deepEqual(names("knet.tun0"), ["knet.1", "knet.22"]);
  assert.deepEqual(names(undefined), ["knet.1", "knet.22", "knet.tun0"]);
});
