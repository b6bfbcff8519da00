/**
 * One command a host: `knet up`, `knet token` and `knet leave` on hosts with systemd, which are namespaces of this computer and no
 * machines (see `guest.ts`). Tests run in their order.
 *
 * @module
 */
import assert from "node:assert/strict";
import { report, until } from "../support/wait.ts";
import { Guest } from "./guest.ts";
import { mountBase } from "./guest_boot.ts";
import { imageOf } from "./image.ts";
import { Segment } from "./segment.ts";
import { FOLDER, packages, RELEASE, whyNoMachines } from "./suite.ts";

/** Hosts that all tests share: three of a cluster, and a fourth that is nobody yet. */
interface Hosts {
  readonly one: Guest;
  readonly two: Guest;
  readonly three: Guest;
  readonly fourth: Guest;
  readonly all: readonly Guest[];
  /** What to type on further hosts, once the first one has said it. */
  line: string;
}

const AS_NOBODY = "setpriv --reuid nobody --regid nogroup --clear-groups";
const problem = whyNoMachines() ??
  (packages() === undefined ? "needs dist/packages/*.deb" : undefined);
const stack = new AsyncDisposableStack();
let hosts: Promise<Hosts> | undefined;

async function start(): Promise<Hosts> {
  const { disk } = await imageOf(RELEASE, console.log);
  const { base } = stack.use(await mountBase(disk));
  const segment = stack.use(await Segment.create());
  const all = await Promise.all(
    [1, 2, 3, 4].map((number) => Guest.start({ base, segment, number, packages: FOLDER })),
  );
  for (const guest of all) stack.use(guest);
  await Promise.all(
    all.map((guest) => guest.sh(`DEBIAN_FRONTEND=noninteractive apt-get install -y ${packages()}`)),
  );
  const [one, two, three, fourth] = all as [Guest, Guest, Guest, Guest];
  return { one, two, three, fourth, all: [one, two, three], line: "" };
}

Deno.test.afterAll(() => stack.disposeAsync());

function test(name: string, fn: (hosts: Hosts) => Promise<void>): void {
  Deno.test({
    name: problem === undefined ? name : `${name} [skipped: ${problem}]`,
    ignore: problem !== undefined,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const there = await (hosts ??= start());
      try {
        await fn(there);
      } catch (error) {
        console.log(error);
        for (const host of [...there.all, there.fourth]) {
          const { stdout } = await host.sh("journalctl -u knet -n 25 --no-pager", { check: false });
          console.log(`--- ${host.name}\n${stdout}`);
        }
        throw error;
      }
    },
  });
}

/** A command that fails: its status, and what it says. */
async function failed(host: Guest, script: string): Promise<{ code: number; said: string }> {
  const { code, stderr } = await host.sh(script, { check: false });
  assert.notEqual(code, 0, script);
  return { code, said: stderr };
}

/** The settings of the service, without what says what they are for. */
const settings = (host: Guest) => host.read("grep -v '^#' /etc/default/knet || true");

/** Waits until so many hosts hold copies, as a host sees it, and one leads. */
async function copies(host: Guest, count: number): Promise<void> {
  await until(`${count} copies, as ${host.name} sees it`, async () => {
    const { store } = JSON.parse(await host.read("knet status --json"));
    return store.copies.length === count &&
      store.copies.some(({ leads }: { leads?: boolean }) => leads);
  }, { deadline: 60_000 });
}

/** Gives each host a container, once, and waits until each reaches each other one. */
async function connected(hosts: readonly Guest[]): Promise<void> {
  const addresses = await Promise.all(
    hosts.map((host) =>
      host.read(
        "[ -e /run/netns/web ] || { ip netns add web; knet attach web > /dev/null; }; " +
          "ip -n web -4 -j addr show scope global | jq -r '.[].addr_info[].local' | head -n 1",
      )
    ),
  );
  for (const host of hosts) {
    for (const address of addresses) {
      await until(`${address} answers ${host.name}`, async () => {
        await host.sh(`ip netns exec web ping -c 1 -W 1 ${address}`);
        return true;
      }, { deadline: 30_000 });
    }
  }
}

test("knet up begins a cluster on the first host, and what it prints joins two more", async (hosts) => {
  const began = performance.now();
  const said = await hosts.one.read("knet up");
  hosts.line = /^ {2}(knet up knet1\.\S+)$/m.exec(said)?.[1] ?? assert.fail(said);
  for (const host of [hosts.two, hosts.three]) {
    assert.match(await host.read(hosts.line), /part of the cluster/);
  }
  const took = performance.now() - began;
  report(`up: three commands on three hosts took ${(took / 1000).toFixed(1)} s`);
  assert.ok(took < 60_000, `${took} ms`);
  for (const host of hosts.all) {
    assert.equal(await host.read("systemctl is-enabled knet"), "enabled");
    assert.equal(await settings(host), "KNET_STORE=dqlite:");
    assert.equal(
      await host.read("stat -c '%a %U' /etc/default/knet /var/lib/knet"),
      "600 root\n700 root",
    );
  }
  await copies(hosts.three, 3);
  await connected(hosts.all);
});

test("knet up may be repeated: nothing is started anew, with the token, without, or by one that is worth nothing by now", async ({ one, two, line }) => {
  for (const [host, again] of [[one, "knet up"], [two, "knet up"], [two, line]] as const) {
    const before = await host.read("systemctl show -p MainPID knet");
    await host.sh(again);
    assert.equal(await host.read("systemctl show -p MainPID knet"), before);
    assert.equal(await settings(host), "KNET_STORE=dqlite:");
  }
});

test("knet up refuses other users, hosts without systemd, and tokens that are worth nothing, and leaves the host as it was", async ({ one, fourth, line }) => {
  for (const command of [`${AS_NOBODY} knet up`, `${AS_NOBODY} ${line}`]) {
    const { code, said } = await failed(fourth, command);
    assert.equal(code, 3, said);
    assert.match(said, /only root may\n {2}Run it as root/);
  }
  const without = await failed(fourth, `unshare -m sh -c 'mount -t tmpfs t /run/systemd; ${line}'`);
  assert.equal(without.code, 3);
  assert.match(without.said, /does not run systemd\n {2}Run knet join/);
  const { token, id } = JSON.parse(await one.read("knet token --json"));
  await one.sh(`knet token revoke ${id}`);
  const brief = JSON.parse(await one.read("knet token --ttl 1s --json"));
  await one.sh("sleep 1.5");
  for (const [worthless, why] of [[token, /revoked/], [brief.token, /over|expired/]]) {
    const { code, said } = await failed(fourth, `knet up ${worthless}`);
    assert.equal(code, 4, said);
    assert.match(said, why);
  }
  const bad = ["knet up foo", "knet up knet1.abc", line.slice(0, -4), `${line.slice(0, -4)}AAAA`];
  for (const command of bad) {
    const { code, said } = await failed(fourth, command);
    assert.equal(code, 2, `${command}: ${said}`);
    assert.match(said, /no token|cut short or mistyped/);
  }
  assert.equal(await settings(fourth), "");
  assert.equal(await fourth.read("systemctl is-enabled knet || true"), "disabled");

  // The package's conffile is as it came.
  assert.equal(await fourth.read("dpkg --verify knet"), "");
});

test("knet up says who keeps the agent from starting, and is done by itself when that is over", async ({ three, fourth, line }) => {
  await fourth.sh(
    "systemd-run -q --unit taken busybox nc -ll -p 8473 -e cat",
  );
  const { code, said } = await failed(fourth, `${line} --timeout 6s`);
  assert.equal(code, 1);
  assert.match(said, /not ready after 6 s: .*port 8473.*in use/);
  assert.match(said, /it goes on trying/);
  // A host that has a certificate and no agent keeps nobody else from the store.
  await three.sh("systemctl restart knet");
  const trying = fourth.sh(line);
  await fourth.sh("sleep 1; systemctl stop taken");
  await trying;
  assert.equal(await fourth.read("systemctl is-active knet"), "active");
});

test("knet leave ends the service too, and the host may begin or join another cluster", async ({ one, fourth, line }) => {
  await fourth.sh("knet leave");
  assert.equal(await settings(fourth), "");
  assert.equal(await fourth.read("systemctl is-active knet || true"), "inactive");
  assert.equal(await fourth.read("systemctl is-enabled knet || true"), "disabled");
  assert.equal(await fourth.read("ip -br link | grep knet || true"), "");
  assert.equal(await fourth.read("ls -d /var/lib/knet/dqlite 2> /dev/null || true"), "");
  await fourth.reboot();
  assert.equal(await fourth.read("systemctl is-active knet || true"), "inactive");
  assert.ok(!(await one.read("knet lease ls")).includes("host4"));
  // A cluster of its own, and back.
  await fourth.sh("knet up");
  const other = await failed(fourth, line);
  assert.equal(other.code, 4, other.said);
  assert.match(other.said, /another cluster/);
  assert.equal(await fourth.read("knet lease ls --json | jq '.leases | length'"), "1");
  // The last copy of a store is not knet's to remove.
  assert.match(await fourth.read("knet leave"), /last copy of the store, which stays in/);
  await fourth.sh("knet up; knet leave; rm -r /var/lib/knet/dqlite");
  // It left the first cluster, too: nobody there minds its id.
  await fourth.sh(line);
  assert.match(await one.read("knet lease ls"), /^host4 .*living/m);
  await fourth.sh("knet leave");
});

test("hosts that were restarted, one after the other, have their network and their service as before", async (hosts) => {
  const { one, two, three, all } = hosts;
  await one.sh("knet svc add web --vip 10.96.0.10 --port 80 --to 10.244.0.2:80");
  for (const host of [two, three, one]) {
    const subnet = await host.read("knet status --json | jq -r .lease.subnet");
    await host.reboot();
    await until(`${host.name} is ready`, async () => {
      await host.sh("systemctl is-active knet");
      return true;
    }, { deadline: 60_000 });
    assert.equal(await host.read("knet status --json | jq -r .lease.subnet"), subnet);
    await copies(host, 3);
    assert.match(await host.read("knet svc ls"), /web/);
  }
  await connected(all);
});

test("hosts whose current was cut, all at once, find each other again in whatever order it comes back", async ({ one, two, three, all }) => {
  for (const host of all) await host.unplug();
  for (const host of [three, one, two]) await host.plug();
  for (const host of all) await copies(host, 3);
  await connected(all);
  await two.sh("knet svc rm web");
  assert.doesNotMatch(await three.read("knet svc ls"), /web/);
});

test("a purged package gives the lease and the copy back, and leaves nothing", async ({ one, two, three }) => {
  await three.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y knet");
  assert.equal(await three.read("ip -br link | grep knet || true; nft list tables"), "");
  const left =
    "find / -xdev -name '*knet*' ! -path '/proc/*' ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/var/cache/*' ! -path '/packages/*' ! -path '/sys/*'";
  assert.equal(await three.read(left), "");
  for (const host of [one, two]) {
    await copies(host, 2);
    assert.ok(!(await host.read("knet lease ls")).includes("host3"));
  }
});
