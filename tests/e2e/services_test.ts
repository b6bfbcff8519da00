/**
 * Services where the kernel has no IPVS: a clear sentence, and the overlay goes on. (With IPVS: tests/vm.)
 *
 * @module
 */
import assert from "node:assert/strict";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import { labSuite } from "../support/suite.ts";
import { skip } from "../support/skip.ts";
import { ipvsHere } from "../support/vm_initrd.ts";
import { until } from "../support/wait.ts";

const test = labSuite({ hosts: 2 });

test("a kernel without IPVS is named, and the overlay goes on", async (lab) => {
  if (ipvsHere()) return skip("a kernel without IPVS", "this kernel has IPVS");
  await lab.host(1).knet("init --network 10.244.0.0/16");
  await Promise.all(lab.hosts.map((host) => host.join()));
  const [one, two] = await Promise.all(lab.hosts.map((host) => host.attach("c1")));
  await lab.host(1).knet(
    `svc add web --vip 10.96.0.10 --port 80 --to ${one!.address}:8080`,
  );
  for (const host of lab.hosts) {
    await until("the agent says so", async () => {
      const { problem } = JSON.parse((await host.get("/services")).body) as ServicesReport;
      assert.match(problem ?? "", /no IPVS.*ip_vs/);
      return true;
    });
    assert.equal((await host.get("/readyz")).status, 200);
    assert.match((await host.knet("status")).stdout, /no IPVS/);
  }
  await until("containers reach each other", () => one!.ping(two!.address));
  for (const host of lab.hosts) await host.leave();
});
