import assert from "node:assert/strict";
import { CniError } from "./protocol.ts";
import { readRequest } from "./request.ts";

const environment = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "abc",
  CNI_NETNS: "/run/netns/abc",
  CNI_IFNAME: "eth0",
};
const config = { cniVersion: "1.1.0", name: "knet", type: "knet-cni" };

function code(run: () => unknown): number {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CniError, `${error}`);
    assert.ok(error.message.startsWith("Cannot "), error.message);
    return error.code;
  }
  return 0;
}

Deno.test("readRequest() reads what runtimes tell in their several ways", () => {
  const asked = readRequest(
    {
      ...environment,
      CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;MAC=02:00:00:00:00:0A",
    },
    {
      ...config,
      runtimeConfig: {
        ips: ["10.244.0.9/24"],
        portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "TCP", hostIP: "" }],
      },
      args: { cni: { labels: [{ key: "app", value: "web" }], ips: ["10.244.0.9"] } },
    },
  );
  assert.deepEqual(asked, {
    command: "ADD",
    cniVersion: "1.1.0",
    network: "knet",
    containerId: "abc",
    ifname: "eth0",
    netns: "/run/netns/abc",
    wishes: {
      ip: "10.244.0.9",
      mac: "02:00:00:00:00:0a",
      names: { name: "web-0", labels: { "io.kubernetes.pod.namespace": "shop", app: "web" } },
      ports: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
    },
    valid: [],
  });
});

Deno.test("readRequest() takes a name from aliases, listed or by network, and passes over what is none", () => {
  const named = (aliases: unknown) =>
    readRequest(environment, { ...config, runtimeConfig: { aliases } }).wishes.names;
  assert.deepEqual(named(["web", "3f2a"]), { name: "web" });
  assert.deepEqual(named({ knet: ["db"] }), { name: "db" });
  assert.deepEqual(named(["\u001b[31m", "ok"]), { name: "ok" });
  assert.deepEqual(named(null), {});
});

Deno.test("readRequest() needs what each command needs, and DEL no namespace", () => {
  const without = (command: string, name: string) =>
    code(() => readRequest({ ...environment, CNI_COMMAND: command, [name]: "" }, config));
  for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
    assert.equal(without("ADD", name), 4, name);
    assert.equal(without("CHECK", name), 4, name);
    assert.equal(without("DEL", name), name === "CNI_NETNS" ? 0 : 4, name);
    assert.equal(without("STATUS", name), 0);
    assert.equal(without("GC", name), 0);
  }
  assert.equal(without("EAT", "CNI_ARGS"), 4);
  assert.equal(code(() => readRequest({}, config)), 4);
});

Deno.test("readRequest() refuses by the specification's codes", () => {
  const of = (more: object, env = {}) =>
    code(() => readRequest({ ...environment, ...env }, { ...config, ...more }));
  assert.equal(of({ cniVersion: "9.9.9" }), 1);
  assert.equal(of({ cniVersion: "0.2.0" }), 1);
  assert.equal(of({ cniVersion: "0.3.1" }, { CNI_COMMAND: "CHECK" }), 1);
  assert.equal(of({ cniVersion: "1.0.0" }, { CNI_COMMAND: "GC" }), 1);
  assert.equal(of({ runtimeConfig: { ips: ["10.244.0.9", "10.244.0.8"] } }), 2);
  assert.equal(of({}, { CNI_CONTAINERID: "a/../b" }), 4);
  assert.equal(of({}, { CNI_CONTAINERID: "\u001b" }), 4);
  assert.equal(of({}, { CNI_IFNAME: "eth0/../x" }), 4);
  assert.equal(of({}, { CNI_IFNAME: "sixteen-letters-" }), 4);
  assert.equal(of({ name: undefined }), 7);
  assert.equal(of({ name: "../x" }), 7);
  assert.equal(of({ runtimeConfig: { ips: ["no address"] } }), 7);
  assert.equal(of({ runtimeConfig: { mac: "01:00:5e:00:00:01" } }), 7);
  assert.equal(of({ runtimeConfig: { portMappings: [{ hostPort: 0, containerPort: 1 }] } }), 7);
  assert.equal(
    of({ runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1, protocol: "icmp" }] } }),
    7,
  );
  const bandwidth = (asked: object) => of({ runtimeConfig: { bandwidth: asked } });
  assert.equal(bandwidth({ ingressRate: 1000, ingressBurst: 1000 }), 0);
  assert.equal(bandwidth({ ingressRate: 1000 }), 7);
  assert.equal(bandwidth({ egressBurst: 1000, egressRate: 0 }), 7);
  assert.equal(bandwidth({ egressRate: -1, egressBurst: 8 }), 7);
  assert.equal(bandwidth({ egressRate: "1M", egressBurst: 8 }), 7);
  assert.equal(of({ ingressRate: 1000 }), 7, "in the configuration itself");
  assert.equal(code(() => readRequest(environment, [])), 7);
  assert.equal(code(() => readRequest(environment, undefined)), 7);
});

Deno.test("readRequest() takes limits of the bandwidth from the runtime, else from the configuration", () => {
  const of = (more: object) => readRequest(environment, { ...config, ...more }).wishes.bandwidth;
  const fixed = { ingressRate: 8000, ingressBurst: 16000 };
  assert.deepEqual(of(fixed), { ingress: { rate: 8000, burst: 16000 } });
  const bandwidth = { ingressRate: 0, ingressBurst: 0, egressRate: 24000, egressBurst: 32000 };
  assert.deepEqual(of({ ...fixed, runtimeConfig: { bandwidth } }), {
    egress: { rate: 24000, burst: 32000 },
  });
  assert.equal(of({ runtimeConfig: { bandwidth: null } }), undefined);
});

Deno.test("readRequest() takes containerd's keys, which are in another case than the conventions have", () => {
  const runtimeConfig = {
    portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: "tcp", HostIP: "192.0.2.7" }],
    bandwidth: { IngressRate: 8000, IngressBurst: 16000, EgressRate: 0, EgressBurst: 0 },
  };
  const { ports, bandwidth } = readRequest(environment, { ...config, runtimeConfig }).wishes;
  assert.deepEqual(ports, [
    { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIp: "192.0.2.7" },
  ]);
  assert.deepEqual(bandwidth, { ingress: { rate: 8000, burst: 16000 } });
  const both = [{ HostPort: 1, hostPort: 8080, containerPort: 80 }];
  const of = (portMappings: unknown) =>
    readRequest(environment, { ...config, runtimeConfig: { portMappings } }).wishes.ports;
  assert.equal(of(both)[0]?.hostPort, 8080);
  assert.equal(code(() => of([{ HOSTPORT: 8080 }])), 7);
  assert.equal(code(() => of([[]])), 7);
});

Deno.test("readRequest() lets go what was asked for in a way that makes no sense", () => {
  const runtimeConfig = {
    ips: ["no address"],
    mac: "no mac",
    bandwidth: { ingressRate: 5 },
    portMappings: [{ hostPort: 99999, containerPort: 1 }],
  };
  for (const CNI_COMMAND of ["DEL", "GC", "STATUS"]) {
    const asked = readRequest({ ...environment, CNI_COMMAND }, { ...config, runtimeConfig });
    assert.deepEqual(asked.wishes, { names: {}, ports: [] });
    const shapeless = { runtimeConfig: { portMappings: [{}], ips: 7 }, args: "no object" };
    assert.equal(
      code(() => readRequest({ ...environment, CNI_COMMAND }, { ...config, ...shapeless })),
      0,
    );
  }
});
