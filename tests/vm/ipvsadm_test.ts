/**
 * What `knet svc export --format ipvsadm` prints, held against ipvsadm itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import { writeIpvsadm } from "../../core/services/format/ipvsadm.ts";
import { readIpvsadm } from "../../core/services/format/ipvsadm_read.ts";
import { systemNames } from "../../core/services/format/names.ts";
import { FORWARDS, PROTOCOLS, SCHEDULERS, type Service } from "../../core/services/service.ts";
import { ipvsNamespaceTest } from "../support/ipvs.ts";
import { service } from "../support/services.ts";

/** Every scheduler, protocol and forwarding method, both families, in no order. */
function all(): Service[] {
  const services = SCHEDULERS.map((scheduler, n) => {
    const six = n % 2 === 1;
    const forward = FORWARDS[n % 3]!;
    const servers = six ? ["fd00:9::20", "fd00:9::3"] : ["10.244.10.20", "10.244.9.3"];
    return service(`s${n}`, {
      vip: six ? `fd00:96::${30 - n}` : `10.96.0.${30 - n}`,
      port: [80, 443, 53][n % 3]!,
      protocol: PROTOCOLS[n % 3]!,
      scheduler,
      forward,
      persistent: n % 4 === 0 ? 60 * (n + 1) : 0,
      ...(n % 8 === 0 && { persistenceNetmask: 24 }),
      destinations: servers.map((address, m) => ({
        address,
        port: forward === "nat" ? 8080 : [80, 443, 53][n % 3]!,
        weight: m * 7,
      })),
    });
  });
  return [
    ...services,
    service("flags", { vip: "10.96.1.1", scheduler: "mh", schedulerFlags: ["mh-port"] }),
    service("both", {
      vip: "10.96.1.2",
      scheduler: "sh",
      schedulerFlags: ["sh-fallback", "sh-port"],
      persistent: 5,
    }),
    service("ops", { vip: "10.96.1.3", protocol: "udp", onePacket: true }),
    service("empty", { vip: "10.96.1.4", destinations: [] }),
  ];
}

ipvsNamespaceTest(
  "writeIpvsadm() writes what ipvsadm -R reads and -S -n prints",
  async ({ run }) => {
    const rules = writeIpvsadm(all());
    await run("ipvsadm -R", rules);
    assert.equal(await run("ipvsadm -S -n"), rules);
  },
);

ipvsNamespaceTest("readIpvsadm() reads what ipvsadm -S prints with names", async ({ run }) => {
  const services = all();
  await run("ipvsadm -R", writeIpvsadm(services));
  const named = await run("ipvsadm -S");
  assert.match(named, /:https? /);
  const imported = await readIpvsadm(named, "ipvsadm -S", systemNames());
  assert.equal(
    writeIpvsadm(imported.services.map((one, n) => one.make(`n${n}`))),
    writeIpvsadm(services),
  );
});

ipvsNamespaceTest("readIpvsadm() has the defaults of ipvsadm", async ({ run }) => {
  const rules = "-A -t 10.96.0.1:80 -p\n-a -t 10.96.0.1:80 -r 10.244.0.1\n";
  await run("ipvsadm -R", rules);
  const imported = await readIpvsadm(rules, "rules", systemNames());
  assert.equal(
    writeIpvsadm(imported.services.map((one) => one.make("a"))),
    await run("ipvsadm -S -n"),
  );
});
