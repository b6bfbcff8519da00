import assert from "node:assert/strict";
import { sampleLink } from "../../../tests/support/samples.ts";
import { markOf } from "../../kernel/owner.ts";
import { judgeDevices } from "./device_check.ts";

const owner = { id: "a1", dataDir: "/var/lib/knet" };
const eth0 = sampleLink({ index: 1, name: "eth0" });

Deno.test("judgeDevices() names another knet, and is content with one's own", () => {
  const bridge = sampleLink({ index: 2, name: "knet0", kind: "bridge", alias: markOf(owner) });
  assert.equal(judgeDevices([eth0, bridge], owner).status, "ok");
  const finding = judgeDevices([eth0, bridge], { id: "b2", dataDir: "/srv/knet" });
  assert.equal(finding.status, "fail");
  assert.match(finding.detail, /"knet0".*"\/var\/lib\/knet"/);
});

Deno.test("judgeDevices() says what comes of a bridge that somebody else made, while it has IPv6", () => {
  const alias = markOf(owner, false);
  const cni0 = { ...sampleLink({ index: 2, name: "cni0", kind: "bridge" }), alias };
  const finding = judgeDevices([eth0, { ...cni0, ipv6: true }], owner);
  assert.equal(finding.status, "warn");
  assert.match(finding.remedy ?? "", /net\/ipv6\/conf\/cni0\/disable_ipv6=1/);
  assert.equal(judgeDevices([eth0, { ...cni0, ipv6: false }], owner).status, "ok");
});
