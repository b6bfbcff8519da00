/**
 * An administrator's hour with three hosts, by the lines that README and manual print: install, two services, an upgrade, a reboot, and
 * an end.
 *
 * @module
 */
import assert from "node:assert/strict";
import { blocksOf } from "../docs/blocks.ts";
import { read } from "../docs/pages.ts";
import type { Host } from "./host.ts";
import {
  addressIn,
  addService,
  type Machines,
  machineSuite,
  packages,
  untilReached,
  untilTrue,
} from "./suite.ts";

const test = machineSuite(3, {
  memory: 640,
  setUp: async ({ hosts, postgres }) => {
    await postgres.sql("alter role knet password 'PASSWORD'");
    // What the manual calls dist/packages, as it is on a host with these packages only.
    for (const host of hosts) {
      await host.sh(`mkdir -p /root/dist/packages; cp ${packages()} /root/dist/packages`);
    }
  },
});

/** Whether the kernel has services, and they have been added. */
let served = false;

test("README's lines install knet on three hosts and join them", async (machines) => {
  await followed(machines, "README.md", "## Install");
  for (const host of machines.hosts) {
    await untilTrue(host, "knet status | grep -E '^agent .* 2 peers'");
  }
  await untilReached(machines.hosts);
});

test("two services in front of the containers answer on every host", async ({ hosts }) => {
  const [one] = hosts as [Host];
  for (const host of hosts) {
    await host.sh(
      `ip netns exec web sh -c 'busybox nc -ll -p 8080 -e echo ${host.name} > /tmp/nc 2>&1 &'`,
    );
  }
  const to = await Promise.all(hosts.map(async (host) => `--to ${await addressIn(host)}:8080`));
  await addService(one, "all", `--vip 10.96.0.10 --port 80 ${to.join(" ")}`);
  await addService(one, "first", `--vip 10.96.0.11 --port 80 ${to[0]}`);
  served = true;
  await answered(hosts);
}, "IPVS");

test("the manual's line for an upgrade leaves services and containers at work", async (machines) => {
  for (const host of machines.hosts) {
    await host.sh(`dpkg-deb -R ${packages()} /tmp/newer
      sed -i 's/^Version: .*/Version: 99.0.0-1/' /tmp/newer/DEBIAN/control
      rm /root/dist/packages/*; dpkg-deb -Znone -b /tmp/newer /root/dist/packages/knet_99.0.0-1_amd64.deb
      rm -r /tmp/newer`);
  }
  await followed(machines, "docs/install.md", "### 8. Upgrade, one host after the other");
  for (const host of machines.hosts) {
    assert.equal(await host.read("dpkg-query -f '${Version}' -W knet"), "99.0.0-1");
    await untilTrue(host, "systemctl -q is-active knet");
  }
  await answered(machines.hosts);
});

test("a host that reboots is part of the network and of its services again", async ({ hosts }) => {
  const [one] = hosts as [Host];
  await one.reboot();
  await untilTrue(one, "systemctl -q is-active knet");
  await one.sh(`ip netns add web; knet attach web
    ip netns exec web sh -c 'busybox nc -ll -p 8080 -e echo ${one.name} > /tmp/nc 2>&1 &'`);
  await untilReached(hosts);
  await answered(hosts);
});

test("the manual's line for an uninstallation leaves nothing on the host, and the others know", async (machines) => {
  const [one, ...others] = machines.hosts as [Host, ...Host[]];
  await followed({ hosts: [one] }, "docs/install.md", "## Uninstall", 1);
  assert.equal(await one.read("ip -br link | grep -E 'knet|kv' || true; nft list tables"), "");
  assert.equal(
    await one.read(
      "find / -xdev -name '*knet*' ! -path '/root/*' ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/var/cache/*'",
    ),
    "",
  );
  for (const host of others) {
    await untilTrue(host, "knet status | grep -E '^agent .* 1 peer '");
  }
});

/** Waits until both services answer each container, where there are any. */
async function answered(hosts: readonly Host[]): Promise<void> {
  if (!served) return;
  for (const host of hosts) {
    for (const vip of ["10.96.0.10", "10.96.0.11"]) {
      await untilTrue(
        host,
        `ip netns exec web busybox nc -w 5 ${vip} 80 < /dev/null | grep ^host`,
      );
    }
  }
}

/** Runs the blocks of a section that readers see, on each host, in their order; those that are run there at all. */
async function followed(
  { hosts }: Pick<Machines, "hosts">,
  page: string,
  heading: string,
  most = Infinity,
): Promise<void> {
  const lines = read(page).split("\n");
  const begin = lines.indexOf(heading);
  assert.notEqual(begin, -1, `${page} has no section "${heading}"`);
  // A single # begins a comment of a script, too.
  const next = new RegExp(`^#{2,${heading.indexOf(" ")}} `);
  const length = lines.slice(begin + 1).findIndex((line) => next.test(line));
  const end = length === -1 ? lines.length : begin + 1 + length;
  const blocks = blocksOf(read(page)).filter(({ line, notRun, script }) =>
    line > begin && line <= end && notRun === undefined && !script.startsWith("git clone") &&
    lines[line - 2]!.trim() === "```sh"
  ).slice(0, most);
  assert.ok(blocks.length > 0);
  for (const { script } of blocks) {
    // Hosts one after the other, as one administers them.
    for (const host of hosts) await host.sh(`cd /root\n${script}`, { timeout: 400_000 });
  }
}
