import assert from "node:assert/strict";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { newNetns, withNetns } from "../../ffi/netns.ts";
import { readSysctl, writeSysctl } from "../../ffi/sysctl.ts";
import { missingCapabilities } from "../../ffi/privilege.ts";
import { forwarding, IP_FORWARD, ipv6Off, setParameters } from "./device_parameters.ts";
import { ensureDevice } from "./devices.ts";

const ignore = missingCapabilities(["netAdmin", "sysAdmin"]).length > 0;

const of = (family: string, device: string, name: string) =>
  readSysctl(["net", family, "conf", device, name]);

Deno.test("setParameters() passes over what the kernel lacks, and says what cannot be set instead of stopping", () => {
  const none = setParameters(ipv6Off("no-such-device"));
  assert.deepEqual(none, { changes: [], problems: [] });
  const { changes, problems } = setParameters([
    { name: ["kernel", "ostype"], value: "knet" },
    { name: "kernel.osrelease", value: "1" },
  ]);
  assert.deepEqual(changes, []);
  assert.equal(problems.length, 2);
  assert.match(problems[0]!, /^Cannot set kernel\.ostype to knet: .*sysctl -w/);
});

Deno.test({
  name:
    "ensureDevice() turns IPv6 off and forwarding on before the device is up, and again where somebody changed it",
  ignore,
  fn() {
    using namespace = newNetns();
    withNetns(namespace.fd, () => {
      using rtnl = openRtnl();
      writeSysctl(["net", "ipv4", "conf", "default", "forwarding"], 0);
      const name = "knet.1"; // With a dot, as those of knet's have.
      const spec = {
        ...{ name, kind: "bridge", mtu: 1400, addresses: ["10.244.1.1/24"] } as const,
        parameters: [...ipv6Off(name), ...forwarding(name)],
      };
      const { index, problems } = ensureDevice(rtnl, spec);
      assert.deepEqual(problems, []);
      const state = () => [
        of("ipv6", name, "disable_ipv6"),
        of("ipv6", name, "accept_ra"),
        of("ipv4", name, "forwarding"),
        getLink(rtnl, name)!.addrGenMode,
      ];
      assert.deepEqual(state(), ["1", "0", "1", 1]);
      assert.equal(getLink(rtnl, name)!.ipv6, false);

      writeSysctl(["net", "ipv6", "conf", name, "disable_ipv6"], 0);
      writeSysctl(["net", "ipv4", "conf", name, "forwarding"], 0);
      assert.equal(ensureDevice(rtnl, spec).changes.length, 2);
      assert.deepEqual(state(), ["1", "0", "1", 1]);

      // A device whose MTU is too small for IPv6 has no part in it, and gets one with its MTU.
      changeLink(rtnl, index, { mtu: 1200 });
      assert.equal(getLink(rtnl, name)!.ipv6, undefined);
      assert.deepEqual(ensureDevice(rtnl, { ...spec, mtu: 1200 }).changes, []);
      ensureDevice(rtnl, spec);
      assert.equal(of("ipv6", name, "disable_ipv6"), "1");
    });
  },
});

Deno.test({
  name: "setParameters() keeps what was there before, and lets a host forward",
  ignore,
  fn() {
    using namespace = newNetns();
    withNetns(namespace.fd, () => {
      using rtnl = openRtnl();
      addLink(rtnl, { name: "b0", kind: "bridge" });
      writeSysctl("net.ipv4.ip_forward", 0);
      const before = new Map<string, string>();
      const { changes } = setParameters([IP_FORWARD, ...forwarding("b0")], before);
      // The first brings the second with it.
      assert.deepEqual(changes, ["set net.ipv4.ip_forward to 1"]);
      assert.deepEqual([...before], [["net.ipv4.ip_forward", "0"]]);
    });
  },
});
