/**
 * systemd-nspawn in the two ways that the documentation has: in a namespace that was attached before, and on the bridge with an
 * address given by hand, as virtual machines have theirs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import type { Background } from "../support/exec.ts";
import { lacking, makeImage, RuntimeRoom } from "../support/runtime_room.ts";
import { skip } from "../support/skip.ts";
import { labSuite } from "../support/suite.ts";
import { until } from "../support/wait.ts";

const suite = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: (lab) => startCluster(lab, { containers: 1 }),
});

suite("systemd-nspawn runs in an attached namespace, and on the bridge", async (lab) => {
  const problem = lacking("systemd-nspawn", "busybox");
  if (problem !== undefined) return skip("systemd-nspawn", problem);
  const [host, other] = [lab.host(1), lab.host(2)];
  const far = other.containers[0]!;
  await makeImage(lab.directory);
  const root = `${lab.directory}/image`;
  for (const name of ["usr", "root", "dev", "proc", "sys", "run", "var"]) {
    Deno.mkdirSync(`${root}/${name}`);
  }
  Deno.writeTextFileSync(`${root}/etc/os-release`, "ID=walk\n");
  await using room = await RuntimeRoom.create(host);
  // There is no systemd to register with.
  const start = (options: readonly string[], script: string) =>
    room.spawn([
      ...["sh", "-c", 'echo $$ > /run/host/nspawn.pid; exec "$@"', "sh"],
      ...["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--console=pipe", "-D", root],
      ...options,
      ...["/bin/sh", "-c", script],
    ]);
  const end = async (container: Background) => {
    await room.run(["sh", "-c", "kill $(cat /run/host/nspawn.pid)"]);
    await container.status;
  };
  const serves = async (container: Background, url: string) => {
    await until(`${url} answers`, async () => {
      if (container.ended !== undefined) throw new Error(container.stdout + container.stderr);
      const { stdout, stderr } = await other.run(`timeout 2 busybox wget -qO- ${url}`, {
        check: false,
      });
      if (stdout === "hello\n") return true;
      throw new Error(`${stderr}${container.stdout}${container.stderr}`);
    });
  };

  await host.run("ip netns add boot");
  await host.knet("attach boot --name boot --publish 8080:80");
  for (const time of ["first", "second"]) {
    const container = start(
      ["--network-namespace-path=/run/netns/boot"],
      `ping -c 1 -W 2 ${far.address} && exec httpd -f -p 80 -h /www`,
    );
    await serves(container, `http://${host.address}:8080/`);
    await end(container);
    const { containers } = await host.knetJson<{ containers: { name: string }[] }>("status");
    assert.ok(containers.some(({ name }) => name === "boot"), `after the ${time} time`);
  }

  const { KNET_SUBNET: gateway = "", KNET_MTU: mtu } = await host.subnetEnv();
  const lowest = (await host.attach("probe")).address;
  await host.knet("detach probe");
  const guest = start(
    ["-M", "guest", "--network-bridge=knet0"],
    `ip link set host0 mtu ${mtu} up
ip addr add ${lowest}/${gateway.split("/")[1]} dev host0
ip route add default via ${gateway.split("/")[0]}
ping -c 1 -W 2 ${far.address} > /dev/null && exec httpd -f -p 80 -h /www`,
  );
  await until("the guest is reached from another host", async () => {
    if (guest.ended !== undefined) throw new Error(guest.stdout + guest.stderr);
    return (await far.run(`timeout 2 busybox wget -qO- http://${lowest}/`, { check: false }))
      .code === 0;
  });
  // Somebody answers there.
  assert.notEqual((await host.attach("next")).address, lowest);
  await end(guest);
});
