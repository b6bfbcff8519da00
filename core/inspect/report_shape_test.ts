import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { readServicesReport, readStatusReport } from "./report_shape.ts";
import type { ServicesReport } from "./service_report.ts";
import type { StatusReport } from "./status.ts";

const rates = { connections: 1, inPackets: 2, outPackets: 3, inBytes: 4, outBytes: 5 };
const traffic = { ...rates, rates };

const services: ServicesReport = {
  services: [{
    name: "web",
    programmed: true,
    traffic,
    realServers: [{
      ...{ address: "10.244.1.1", port: 80, weight: 1, health: "up", detail: "", drain: "no" },
      ...{ programmed: true, active: 1, inactive: 0, persistent: 0, traffic },
    }],
  }],
  foreign: [{ address: "", port: 0, protocol: "fwmark", fwmark: 7 }],
  sysctls: [{ name: "net.ipv4.vs.conntrack", value: "1", wanted: "1", why: "It matters" }],
  timeouts: { tcp: 1, tcpfin: 2, udp: 3 },
};

const status: StatusReport = {
  node: {
    ...{ id: "n1", name: "one", publicIp: "192.168.2.1", subnet: "10.244.1.0/24", mtu: 1450 },
    ...{ backend: "vxlan", device: "knet.1", bridge: "knet0" },
    lease: { acquired: 1, renewed: 2, expires: 3, reserved: false },
  },
  agent: { running: true, pid: 7, since: 1, ready: true, state: "ready" },
  store: { url: "sqlite:/x", state: "ok", detail: "", revision: 4 },
  peers: [{
    ...{ name: "two", nodeId: "n2", subnet: "10.244.2.0/24", publicIp: "192.168.2.2" },
    ...{
      expired: false,
      route: true,
      neighbour: true,
      fdb: true,
      entries: { route: true },
      via: "vxlan",
    },
  }],
  containers: [{ netns: "web", ifname: "eth0", address: "10.244.1.2", stranded: false }],
  warnings: ["Look here"],
};

/** Copies a document with one of its values changed or, by undefined, left out. */
function changed(document: unknown, path: readonly (string | number)[], value: unknown): string {
  const copy = structuredClone(document);
  const last = path.at(-1)!;
  // deno-lint-ignore no-explicit-any
  const holder = path.slice(0, -1).reduce((held: any, key) => held[key], copy);
  holder[last] = value;
  return JSON.stringify(copy);
}

function refused(read: () => unknown, message: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof KnetError);
    assert.match(error.message, /^Cannot understand this host's agent: /);
    assert.match(error.message, message);
    assert.match(error.remedy ?? "", /restart knet/);
    return true;
  });
}

Deno.test("readStatusReport() takes an agent's answer, a newer one's too, and names what is amiss in another", () => {
  assert.deepEqual(readStatusReport(JSON.stringify(status)), status);
  const newer = changed(status, ["peers", 0, "colour"], "red");
  assert.deepEqual(readStatusReport(newer), JSON.parse(newer));
  const counted = changed(status, ["tunnel"], { offloads: true, counters: { sentPackets: 3 } });
  assert.deepEqual(readStatusReport(counted), JSON.parse(counted));
  refused(() => readStatusReport("Not found"), /JSON/);
  refused(
    () => readStatusReport(changed(status, ["peers", 0, "route"], "yes")),
    /peers\.0\.route is "yes"/,
  );
  refused(
    () => readStatusReport(changed(status, ["node", "lease"], undefined)),
    /it has no node\.lease/,
  );
  refused(
    () => readStatusReport(changed(status, ["tunnel"], { offloads: true, counters: { a: "b" } })),
    /tunnel\.counters: /,
  );
});

Deno.test("readServicesReport() takes an agent's answer and names what is amiss in another", () => {
  assert.deepEqual(readServicesReport(JSON.stringify(services)), services);
  const empty = { problem: "no IPVS", services: [], foreign: [], sysctls: [] };
  assert.deepEqual(readServicesReport(JSON.stringify(empty)), empty);
  const server = ["services", 0, "realServers", 0];
  refused(
    () => readServicesReport(changed(services, [...server, "port"], "80")),
    /realServers\.0\.port/,
  );
  refused(
    () => readServicesReport(changed(services, [...server, "traffic"], { rates: 1 })),
    /realServers\.0\.traffic: /,
  );
  refused(
    () => readServicesReport(changed(services, ["services"], {})),
    /services is Object, not Array/,
  );
});
