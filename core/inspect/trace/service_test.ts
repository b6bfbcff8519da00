import assert from "node:assert/strict";
import { parseIpvs } from "../../../ffi/genl/ipvs_proc.ts";
import { sampleState } from "../../../tests/support/samples.ts";
import { makeService, type ServiceRequest } from "../../services/request.ts";
import type { ServicesReport } from "../service_report.ts";
import { type ServiceFacts, serviceSteps } from "./service.ts";

const STATE = sampleState({ subnet: "10.244.3.0/24" });
const KERNEL = parseIpvs(`IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:0050 rr
  -> 0AF40302:1F90      Masq    1      0          0
  -> 0AF40402:1F90      Masq    0      0          0
UDP  0A600001:0035 rr
`);

const request = (more: Partial<ServiceRequest> = {}): ServiceRequest => ({
  vip: "10.96.0.1",
  port: 80,
  ...more,
});
const steps = (facts: Partial<ServiceFacts>) =>
  serviceSteps({ services: [], shown: KERNEL, report: undefined, ...facts }, "10.244.3.9", STATE);
const web = makeService("web", request());

Deno.test("serviceSteps() names service, real servers with weight and state, and masquerading", () => {
  const report = {
    services: [{
      name: "web",
      programmed: true,
      realServers: [
        { address: "10.244.3.2", port: 8080, health: "up", detail: "", drain: "no" },
        { address: "10.244.4.2", port: 8080, health: "down", detail: "refused", drain: "draining" },
      ],
    }],
  } as unknown as ServicesReport;
  const [step] = steps({ services: [web], report });
  assert.deepEqual(step, {
    step: "service",
    status: "warn",
    detail: '"web", tcp port 80: rr, nat, masqueraded to 10.244.3.2; ' +
      "10.244.3.2:8080 weight 1 up, 10.244.4.2:8080 weight 0 down draining (refused)",
    remedy: "See what fails: knet svc status web",
    entry: "TCP 10.96.0.1:80 rr",
  });
  const [alone] = steps({ services: [makeService("web", request({ masquerade: "always" }))] });
  assert.equal(alone?.status, "ok");
  assert.match(alone?.detail ?? "", /nat, masqueraded; 10\.244\.3\.2:8080 weight 1, /);
});

Deno.test("serviceSteps() loses what is for a service without virtual server or real server", () => {
  const dns = makeService("dns", request({ port: 53, protocol: "udp" }));
  const gone = makeService("gone", request({ port: 81 }));
  assert.match(steps({ services: [dns] })[0]!.detail, /"dns", udp port 53: it has no real server/);
  assert.equal(steps({ services: [dns] })[0]!.status, "broken");
  assert.match(steps({ services: [gone] })[0]!.detail, /the kernel has no such virtual server/);
  // Another port of the address works: which one is meant is not known.
  const both = steps({ services: [gone, web] });
  assert.deepEqual(both.map(({ status }) => status), ["ok", "warn"]);
});
