/**
 * The service under a real systemd, installed by its package: begun, ended, killed, frozen, rebooted, upgraded, removed and purged.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Host } from "./host.ts";
import {
  addressIn,
  addService,
  attach,
  configure,
  install,
  machineSuite,
  packages,
  removeService,
  untilReached,
  untilTrue,
} from "./suite.ts";

/** Where "bad" ends and "okay" begins is nobody's promise; what the unit reaches is. */
const EXPOSURE = 3.0;

/** A unit as an administrator writes it for a container of systemd's that is there after each start. */
const CONTAINER_UNIT = `[Unit]
After=knet.service
Wants=knet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip netns add web && knet attach web'
ExecStop=/bin/sh -c 'knet detach web; ip netns delete web'
[Install]
WantedBy=multi-user.target
`;

const test = machineSuite(2);

test("install does not enable or start an agent that was told nothing", async ({ hosts }) => {
  for (const host of hosts) {
    assert.match(await install(host), /to begin a cluster: knet up/);
    assert.equal(
      await host.read("systemctl is-enabled knet || true; systemctl is-active knet || true"),
      "disabled\ninactive",
    );
    await host.sh("[ ! -e /run/knet ] && ! ip link show knet0");
  }
});

test("systemctl start with settings that make no sense fails at once, says which, and tries nothing again", async ({ hosts: [host] }) => {
  await configure(host!, "postgers://knet@db.internal/knet");
  const { code, stderr } = await host!.sh("systemctl start knet", { check: false });
  assert.notEqual(code, 0, stderr);
  assert.match(
    await host!.read("journalctl -u knet -o cat --no-pager"),
    /postgers.*(KNET_STORE|postgres:)/s,
  );
  assert.equal(
    await host!.read("sleep 5; systemctl show -P NRestarts -P ActiveState knet"),
    "0\nfailed",
  );
});

test("systemctl enable --now returns when the host is part of the network", async ({ hosts, postgres }) => {
  for (const host of hosts) {
    await configure(host, postgres.url);
    await host.sh("systemctl enable --now knet");
    assert.match(await host.read("cat /run/knet/subnet.env"), /FLANNEL_SUBNET=/);
    await attach(host, "web");
  }
  await untilReached(hosts);
});

test("systemd-analyze security rates the unit as promised, and the journal has all without noise", async ({ hosts: [host] }) => {
  const rated = await host!.read("systemd-analyze security knet.service --no-pager | tail -n 1");
  assert.ok(Number(/: (\d+\.\d)/.exec(rated)?.[1]) <= EXPOSURE, rated);
  const log = await host!.read("journalctl -u knet -b -o cat --no-pager");
  assert.match(log, /Holding 10\.244\.\d+\.0\/24/);
  assert.ok(!log.includes("overlay-secret") && !log.includes("\u001b"), log);
  assert.equal(
    await host!.read(
      "journalctl -u knet -b -p err -o cat --no-pager -t knet | grep -v store || true",
    ),
    "",
  );
  assert.match(
    await host!.read("systemctl status knet --no-pager"),
    /Status: "10\.244\.\d+\.0\/24, 1 peer"/,
  );
});

test("a process of another user is attached under the unit's bounds", async ({ hosts: [host] }) => {
  await host!.sh("systemd-run -q -u sleeper --uid=nobody -p PrivateNetwork=yes sleep infinity");
  const address = await host!.read("knet attach $(systemctl show -P MainPID sleeper)");
  await host!.sh(`ip netns exec web ping -c 1 -W 5 ${address}`);
  // The agent itself enters it, too, and makes an interface anew that somebody deletes there.
  await host!.sh("nsenter -t $(systemctl show -P MainPID sleeper) -n ip link delete eth0");
  await untilTrue(host!, `ip netns exec web ping -c 1 -W 2 ${address}`);
  await host!.sh("knet detach $(systemctl show -P MainPID sleeper); systemctl stop sleeper");
});

test(
  "the unit's privileges suffice for services, whose modules the kernel loads itself",
  async ({ hosts: [one, two] }) => {
    await one!.sh("ip netns exec web sh -c 'busybox nc -ll -p 8080 -e echo here > /tmp/nc 2>&1 &'");
    const web = await addressIn(one!);
    await addService(one!, "here", `--vip 10.96.0.10 --port 80 --to ${web}:8080`);
    await untilTrue(
      two!,
      '[ "$(ip netns exec web busybox nc -w 5 10.96.0.10 80 < /dev/null)" = here ]',
    );
    await untilTrue(two!, "ipvsadm -Ln | grep 10.96.0.10:80");
    await removeService(one!, "here");
    await one!.sh("pkill -f 'busybox nc'");
  },
  "IPVS",
);

for (const verb of ["restart", "reload", "try-restart", "reload-or-restart", "stop", "start"]) {
  test(`systemctl ${verb} leaves the network standing`, async ({ hosts: [one, two] }) => {
    const address = await addressIn(one!);
    await losesNothing(two!, address, async () => void await one!.sh(`systemctl ${verb} knet`));
    const active = await one!.read("systemctl is-active knet || true");
    assert.equal(active, verb === "stop" ? "inactive" : "active");
  });
}

test("kill -9 brings a new agent, and no ping is lost", async ({ hosts: [one, two] }) => {
  await losesNothing(two!, await addressIn(one!), () => killed(one!, "KILL"));
});

test("an agent that hangs is ended by the watchdog, and no ping is lost", async ({ hosts: [one, two] }) => {
  await losesNothing(two!, await addressIn(one!), () => killed(one!, "STOP"));
  assert.match(await one!.read("journalctl -u knet -b --no-pager -o cat"), /Watchdog timeout/);
});

test("after a reboot the host has its subnet again, and a unit behind knet's its container", async ({ hosts }) => {
  const [one] = hosts;
  await one!.sh("knet detach web; ip netns delete web");
  await one!.sh(
    `cat > /etc/systemd/system/web.service <<'END'\n${CONTAINER_UNIT}END\nsystemctl enable --now web`,
  );
  const subnet = await one!.read("cat /run/knet/subnet.env");
  const address = await addressIn(one!);
  await one!.reboot();
  await untilTrue(one!, "systemctl is-active web knet");
  assert.equal(await one!.read("cat /run/knet/subnet.env"), subnet);
  assert.equal(await addressIn(one!), address);
  await untilReached(hosts);
});

test("a host that loses its current joins again without the store, and catches up when it is back", async ({ hosts, postgres }) => {
  const [one] = hosts;
  const subnet = await one!.read("cat /run/knet/subnet.env; sync");
  await postgres.stop();
  await one!.cutPower();
  await untilTrue(one!, "systemctl is-active web knet");
  assert.equal(await one!.read("cat /run/knet/subnet.env"), subnet);
  await untilReached(hosts);
  await postgres.start();
  await untilTrue(one!, "knet status | grep -E '^store .*: ok'");
});

test("an upgrade by the package starts the agent anew, and no ping is lost", async ({ hosts: [one, two] }) => {
  await one!.sh(`dpkg-deb -R ${packages()} /tmp/newer
    sed -i 's/^Version: .*/Version: 99.0.0-1/' /tmp/newer/DEBIAN/control
    dpkg-deb -Znone -b /tmp/newer /tmp/knet_99_amd64.deb`);
  const before = await one!.read("systemctl show -P MainPID knet; cat /etc/default/knet");
  await losesNothing(two!, await addressIn(one!), async () => {
    await one!.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y /tmp/knet_99_amd64.deb", {
      timeout: 300_000,
    });
    await untilTrue(one!, "systemctl is-active knet");
  });
  const [pid, settings] = before.split("\n");
  assert.notEqual(await one!.read("systemctl show -P MainPID knet"), pid);
  assert.equal(await one!.read("cat /etc/default/knet"), settings);
  assert.equal(await one!.read("dpkg-query -f '${Version}' -W knet"), "99.0.0-1");
});

test("a removed package leaves the network, and a purge nothing", async ({ hosts: [one, two], postgres }) => {
  const address = await addressIn(one!);
  await one!.sh("apt-get remove -y knet");
  await two!.sh(`ip netns exec web ping -c 3 -W 5 ${address}`);
  assert.match(await one!.read("ls /var/lib/knet"), /removed/);
  await one!.sh("apt-get purge -y knet");
  assert.equal(
    await one!.read(
      "ip -br link | grep -E 'knet|kv' || true; ip route show proto 107; nft list tables",
    ),
    "",
  );
  assert.equal(
    await one!.read(
      "ls -d /etc/knet /etc/default/knet /var/lib/knet /run/knet /etc/systemd/system/*/knet.service 2>/dev/null || true",
    ),
    "",
  );
  assert.equal(await postgres.sql("select count(*) from knet_leases where deleted = 0"), "1");
  await untilTrue(two!, "knet status | grep 'No peers'");
});

/** Pings while something is done; fails when an answer was missing before the last one that came. */
async function losesNothing(
  from: Host,
  address: string,
  deed: () => Promise<void>,
): Promise<void> {
  await from.sh(
    `ip netns exec web ping -i 0.5 ${address} > /tmp/pings 2>&1 & echo $! > /tmp/ping.pid`,
  );
  await deed();
  const said = await from.read("sleep 2; kill -INT $(cat /tmp/ping.pid); sleep 1; cat /tmp/pings");
  const heard = new Set(
    [...said.matchAll(/ bytes from .* icmp_seq=(\d+)/g)].map(([, seq]) => +seq!),
  );
  // What ping itself calls lost may have been under way when it was ended.
  const last = Math.max(...heard);
  assert.ok(last > 1, said);
  assert.equal(heard.size, last, said);
}

/** Sends the agent a signal, and waits until another one is ready. */
async function killed(host: Host, signal: string): Promise<void> {
  const pid = await host.read("systemctl show -P MainPID knet");
  await host.sh(`kill -${signal} ${pid}`);
  await untilTrue(
    host,
    `[ "$(systemctl show -P MainPID knet)" != ${pid} ] && systemctl -q is-active knet`,
    300_000,
  );
}
