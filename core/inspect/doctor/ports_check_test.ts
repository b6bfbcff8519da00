import assert from "node:assert/strict";
import type { ContainerRecord } from "../../container/record.ts";
import { portsFinding } from "./ports_check.ts";

const record: ContainerRecord = {
  ...{ name: "web", netns: "web", netnsId: "cookie:1", ifname: "eth0", hostIfname: "kv1" },
  ...{ address: "10.244.0.2", prefixLength: 24 },
  ports: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 5300, containerPort: 53, protocol: "udp" },
  ],
};
const at = (protocol: "tcp" | "udp", hostPort: number, hostIp?: string) => ({
  ...{ protocol, hostPort, six: false, inode: 7 },
  ...(hostIp !== undefined && { hostIp }),
});
const ownedBy = (name: string) => () => ({ pid: "812", name });

Deno.test("portsFinding() names who listens at a port that a container has published since before", () => {
  const others = [at("tcp", 80), at("udp", 8080)];
  assert.deepEqual(portsFinding([record], others, ownedBy("nginx")), {
    status: "ok",
    detail: "2 ports published",
  });
  for (const listener of [at("tcp", 8080), at("tcp", 8080, "127.0.0.1")]) {
    const { status, detail } = portsFinding([record], [listener], ownedBy("docker-proxy"));
    assert.equal(status, "warn");
    assert.match(
      detail,
      /8080\/tcp of container "web" \(process 812 \(docker-proxy\) listens there\)/,
    );
  }
});

Deno.test("portsFinding() passes over who keeps the port for the container itself", () => {
  const listeners = [at("tcp", 8080), at("udp", 5300)];
  const podmans = { ...record, runtime: "podman", containerId: "abc" };
  assert.equal(portsFinding([podmans], listeners, ownedBy("conmon")).status, "ok");
  assert.equal(portsFinding([record], listeners, ownedBy("conmon")).status, "warn");
});
