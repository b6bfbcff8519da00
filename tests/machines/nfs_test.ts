/**
 * SQLite in a directory that a third host shares by NFS: its server stops and comes back, the mount hangs, several write at once. The
 * agents go on healing, answer their watchdog and say what is the matter.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Host } from "./host.ts";
import { attach, configure, install, machineSuite, untilReached, untilTrue } from "./suite.ts";

const STORE = "sqlite:/mnt/shared/knet.db";

/** The first one serves, the others mount; all join. */
const test = machineSuite(2, {
  needs: "a server of NFS, which is the kernel's",
  setUp: async ({ hosts, segment }) => {
    const [server, client] = hosts as [Host, Host];
    const range = `${segment.address}/${segment.prefixLength}`;
    await server.sh(`install -d -m 0700 /srv/shared
      echo '/srv/shared ${range}(rw,sync,no_subtree_check,no_root_squash)' > /etc/exports
      # Its grace of 90 s after a start is for clients that there were before.
      printf '[nfsd]\\ngrace-time=10\\nlease-time=10\\n' > /etc/nfs.conf.d/grace.conf
      systemctl enable --now nfs-server`);
    await client.sh(`mkdir -p /mnt/shared
      echo '${server.address}:/srv/shared /mnt/shared nfs4 rw,hard,_netdev 0 0' >> /etc/fstab
      systemctl daemon-reload; mount /mnt/shared`);
    await server.sh("ln -s /srv/shared /mnt/shared || mount --bind /srv/shared /mnt/shared");
    for (const host of hosts) {
      await install(host);
      await configure(host, STORE);
      await host.sh("systemctl enable --now knet");
      await attach(host, "web");
    }
  },
});

test("two hosts that share a SQLite file by NFS are one network", async ({ hosts }) => {
  await untilReached(hosts);
  for (const host of hosts) await host.sh("knet status | grep -E '^store .*: ok'");
});

test("while the NFS server is stopped the mount hangs, and the agent heals, answers its watchdog and tells", async ({ hosts }) => {
  const [server, client] = hosts as [Host, Host];
  const pid = await client.read("systemctl show -P MainPID knet");
  await server.sh("systemctl stop nfs-server");
  // Longer than the watchdog waits.
  await client.sh("sleep 75");
  assert.equal(await client.read("systemctl show -P MainPID knet"), pid);
  await client.sh("ip route flush proto 107");
  await untilTrue(client, "ip route show proto 107 | grep via", 60_000);
  await untilReached(hosts);
  const status = await client.sh("timeout 60 knet status", { check: false });
  assert.match(status.stdout, /^agent .* 1 peer/m, status.stdout + status.stderr);
  assert.doesNotMatch(status.stdout, /^store .*: ok/m);
  await server.sh("systemctl start nfs-server");
  await untilTrue(client, "knet status | grep -E '^store .*: ok'");
  assert.equal(await client.read("systemctl show -P MainPID knet"), pid);
});

test("an agent that is started while the mount hangs begins with what it knows", async ({ hosts }) => {
  const [server, client] = hosts as [Host, Host];
  await server.sh("systemctl stop nfs-server");
  try {
    const pid = await client.read("systemctl show -P MainPID knet");
    await client.sh(`kill -9 ${pid}`);
    await untilTrue(
      client,
      `systemctl -q is-active knet && [ $(systemctl show -P MainPID knet) != ${pid} ]`,
    );
    await untilReached(hosts);
  } finally {
    await server.sh("systemctl start nfs-server");
  }
  await untilTrue(client, "knet status | grep -E '^store .*: ok'");
});

test("two hosts write to it at once, and both see all of it", async ({ hosts }) => {
  await Promise.all(hosts.map((host) =>
    host.sh(
      `for i in $(seq 5); do
      knet svc add ${host.name}-$i --vip 10.96.\${HOSTNAME#host}.$i --port 80 --to 10.244.0.2:80
    done`,
      { timeout: 400_000 },
    )
  ));
  for (const host of hosts) {
    assert.equal(await host.read("knet svc ls --json | jq '.services | length'"), "10");
    await untilTrue(host, "[ $(ipvsadm -Sn | grep -c -- '^-A') = 10 ]");
  }
});
