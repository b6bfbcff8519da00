/**
 * `knet svc` as a process on a SQLite file: neither root nor libnl is needed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { scratch } from "./run_knet.ts";

interface ServiceDocument {
  readonly name: string;
  readonly vip: string;
  readonly port: number;
  readonly scheduler: string;
  readonly check: { readonly type: string };
  readonly destinations: readonly {
    readonly address: string;
    readonly port: number;
    readonly weight: number;
    readonly draining: { readonly deadline: number } | null;
  }[];
  readonly local: unknown;
}
interface ListDocument {
  readonly revision: number;
  readonly services: readonly ServiceDocument[];
}

/** A cluster with a service, `web`. */
async function withWeb() {
  const at = await scratch();
  await at.json("init");
  await at.json(
    "svc add web --vip 10.96.0.10 --port 80 --to 10.244.0.5:8080 --to 10.244.1.7:8080,weight=3",
  );
  return at;
}

Deno.test("knet svc adds, lists, shows, changes and removes a service", async () => {
  await using at = await scratch();
  await at.json("init");
  assert.equal((await at.knet("svc ls")).stdout, "No services\n");
  const added = await at.json<ServiceDocument & { changed: boolean }>(
    "svc add web --vip 10.96.0.10 --port 80 --scheduler wlc --to 10.244.0.5:8080 --to 10.244.1.7:8080,weight=3",
  );
  assert.equal(added.changed, true);
  assert.deepEqual(added.destinations.map(({ address, weight }) => [address, weight]), [
    ["10.244.0.5", 1],
    ["10.244.1.7", 3],
  ]);
  const list = await at.json<ListDocument>("svc ls");
  assert.deepEqual(list.services.map(({ name, local }) => [name, local]), [["web", null]]);
  const table = await at.knet("svc ls");
  assert.match(table.stdout, /^NAME +VIRTUAL SERVER +SCHEDULER +FORWARD +REAL SERVERS\n/);
  assert.match(table.stdout, /web +10\.96\.0\.10:80\/tcp +wlc +nat +2\n/);
  assert.match((await at.knet("svc show web")).stdout, /10\.244\.1\.7:8080 +3/);

  const set = await at.json<ServiceDocument>("svc set web --port 81 --check http:/up");
  assert.deepEqual([set.port, set.check.type, set.scheduler], [81, "http", "wlc"]);
  const same = await at.json<{ changed: boolean }>("svc set web --port 81");
  assert.equal(same.changed, false);
  assert.equal((await at.knet("svc rm web")).stdout, 'Removed "web" at 10.96.0.10:81/tcp\n');
  assert.deepEqual((await at.json<ListDocument>("svc ls")).services, []);
});

Deno.test("knet svc to, drain and drop change the real servers of a service", async () => {
  await using at = await withWeb();
  const weights = (one: ServiceDocument) =>
    one.destinations.map(({ address, weight, draining }) =>
      `${address} ${weight}${draining === null ? "" : " draining"}`
    );
  const more = await at.json<ServiceDocument>("svc to web 10.244.2.9:8080,weight=2");
  assert.deepEqual(weights(more), ["10.244.0.5 1", "10.244.1.7 3", "10.244.2.9 2"]);
  const heavier = await at.json<ServiceDocument>("svc to web 10.244.0.5:8080,weight=9");
  assert.deepEqual(weights(heavier), ["10.244.0.5 9", "10.244.1.7 3", "10.244.2.9 2"]);
  const before = Date.now();
  const drains = await at.json<ServiceDocument>("svc drain web 10.244.0.5:8080 --timeout 1m");
  assert.deepEqual(weights(drains), ["10.244.0.5 9 draining", "10.244.1.7 3", "10.244.2.9 2"]);
  const { deadline } = drains.destinations[0]!.draining!;
  assert.ok(deadline >= before + 60_000 && deadline <= Date.now() + 60_000);
  assert.match((await at.knet("svc show web")).stdout, /10\.244\.0\.5:8080 +9 +draining, /);
  const again = await at.json<ServiceDocument>("svc to web 10.244.0.5:8080");
  assert.deepEqual(weights(again), ["10.244.0.5 9", "10.244.1.7 3", "10.244.2.9 2"]);
  const dropped = await at.json<ServiceDocument>("svc drop web 10.244.0.5:8080 --now");
  assert.deepEqual(weights(dropped), ["10.244.1.7 3", "10.244.2.9 2"]);
  const slow = await at.json<ServiceDocument>("svc drop web 10.244.1.7:8080");
  assert.deepEqual(weights(slow), ["10.244.1.7 3 draining", "10.244.2.9 2"]);
});

Deno.test("knet svc set lets a way of forwarding change while a real server drains, and says what that ends", async () => {
  await using at = await withWeb();
  await at.json("svc to web 10.244.2.9:80");
  await at.json("svc drop web 10.244.1.7:8080 --now");
  await at.json("svc drain web 10.244.0.5:8080");
  const set = await at.knet("svc set web --forward dr");
  assert.equal(set.code, 0, set.stderr);
  assert.match(set.stderr, /10\.244\.0\.5:8080 was draining and does not fit "web" any more/);
  const after = await at.json<ServiceDocument>("svc set web --port 81");
  assert.deepEqual(after.destinations.map(({ address, port }) => [address, port]), [
    ["10.244.2.9", 81],
  ]);
});

Deno.test("knet svc drain takes a real server of udp out at once", async () => {
  await using at = await scratch();
  await at.json("init");
  await at.json("svc add dns --vip 10.96.0.53 --port 53 --protocol udp --to 10.244.0.5");
  const after = await at.json<ServiceDocument>("svc drain dns 10.244.0.5");
  assert.deepEqual(after.destinations, []);
});

/** What is refused, with what exit status, and what it says. */
const REFUSALS: readonly [line: string, code: number, message: RegExp][] = [
  ["svc add", 2, /NAME is missing/],
  ["svc add a --port 80", 2, /"--vip" is missing/],
  ["svc add a --vip 10.96.0.1", 2, /"--port" is missing/],
  ["svc add a --vip 10.96.0.1.1 --port 80", 2, /--vip "10\.96\.0\.1\.1": it is neither/],
  ["svc add a --vip 10.96.0.1 --port 0", 2, /"0" is not a port/],
  [
    "svc add a --vip 10.96.0.1 --port 80 --scheduler fair",
    2,
    /"fair" is not a scheduler: give "rr"/,
  ],
  ["svc add a --vip 10.96.0.1 --port 80 --scheduler-flags sh-port", 2, /not one of scheduler rr/],
  ["svc add a --vip 10.96.0.1 --port 80 --forward dr --to 10.9.0.1:81", 2, /by dr leaves the port/],
  ["svc add a --vip 10.96.0.1 --port 80 --to 10.9.0.1:80,weight=65536", 2, /weight 65536 of/],
  ["svc add a --vip 10.96.0.1 --port 80 --to 10.9.0.1:80,upper=1,lower=2", 2, /lower threshold 2/],
  ["svc add a --vip 10.96.0.1 --port 80 --to web:80", 2, /"web:80" is not a real server/],
  ["svc add a --vip 10.96.0.1 --port 80 --one-packet", 2, /one-packet scheduling/],
  ["svc add web --vip 10.96.0.1 --port 80", 4, /"web": the name is in use/],
  ["svc add a --vip 10.96.0.10 --port 80", 4, /service "web" has this address, port and protocol/],
  ["svc add a --vip 10.244.9.9 --port 80", 4, /in the container network 10\.244\.0\.0\/16/],
  ["svc add a --vip 192.168.2.7 --port 80", 4, /that address is reserved for a host/],
  ["svc set web --vip 10.244.9.9", 4, /in the container network/],
  ["svc add a --vip fd00::1 --port 80 --forward dr", 4, /knet does not forward by dr/],
  ["svc set six --forward tunnel", 4, /knet does not forward by tunnel/],
  ["svc set six --masquerade always", 4, /knet does not masquerade/],
  ["svc set web", 2, /there is nothing to change/],
  ["svc set web --forward dr", 2, /by dr leaves the port as it is/],
  ["svc set nix --port 81", 4, /there is no such service/],
  ["svc to web 10.244.0.5:8080,weight=70000", 2, /weight 70000/],
  ["svc to web 10.244.0.5:8080:1", 2, /ADDRESS:PORT/],
  ["svc to web fd00:244::5:8080", 2, /give \[fd00:244::5:8080\] or \[fd00:244::5\]:8080/],
  ["svc drain web fd00:244::5:8080", 2, /give \[fd00:244::5:8080\] or \[fd00:244::5\]:8080/],
  ["svc drain web 10.244.0.6:8080", 4, /it has no such real server/],
  ["svc drop nix 10.244.0.6:8080", 4, /there is no such service/],
  ["svc rm nix", 4, /there is no such service/],
  ["svc show nix", 4, /there is no such service/],
  ["svc status", 1, /no agent answers/],
  ["svc apply", 2, /"--file" is missing/],
  ["svc apply -f /nowhere.yaml", 2, /there is no such file/],
  ["svc timeouts --tcp 100d", 2, /timeout tcp 8640000/],
];

Deno.test("knet svc refuses what cannot be, with the exit status that fits, and changes nothing", async () => {
  await using at = await withWeb();
  await at.json("lease reserve 10.244.7.0/24 --public-ip 192.168.2.7");
  await at.json("svc add six --vip fd00:96::10 --port 80");
  const { revision } = await at.json<ListDocument>("svc ls");
  for (const [line, code, message] of REFUSALS) {
    const outcome = await at.knet(line);
    assert.equal(outcome.code, code, `${line}: ${outcome.stderr}`);
    assert.match(outcome.stderr, message, line);
    assert.equal(outcome.stdout, "", line);
  }
  assert.equal((await at.json<ListDocument>("svc ls")).revision, revision);
});

Deno.test("knet svc wants a configured cluster, and takes no option of the agent's file for its own", async () => {
  await using at = await scratch();
  const early = await at.knet("svc add web --vip 10.96.0.10 --port 80");
  assert.equal(early.code, 4);
  assert.match(early.stderr, /no cluster configuration/);
  await at.json("init");
  await Deno.writeTextFile(`${at.path}/knet.yaml`, "port: 8472\n");
  const outcome = await at.knet(`svc add web --vip 10.96.0.10 --config ${at.path}/knet.yaml`);
  assert.match(outcome.stderr, /"--port" is missing/);
});

Deno.test("knet svc add warns of a virtual IP outside the service network", async () => {
  await using at = await scratch();
  await at.json("init");
  const outcome = await at.knet("svc add web --vip 203.0.113.7 --port 80");
  assert.equal(outcome.code, 0);
  assert.match(outcome.stderr, /outside the service network 10\.96\.0\.0\/16/);
});

const YAML = `services:
  - name: web
    vip: 10.96.0.10
    port: 80
    scheduler: wlc
    to: ["10.244.0.5:8080"]
  - name: tls
    vip: 10.96.0.10
    port: 443
    to: ["10.244.0.5:8443"]
`;

Deno.test("knet svc apply plans, creates, changes, and prunes when asked to", async () => {
  await using at = await withWeb();
  await at.json("svc add old --vip 10.96.0.99 --port 80");
  const file = `${at.path}/services.yaml`;
  await Deno.writeTextFile(file, YAML);
  const dry = await at.knet(`svc apply -f ${file} --prune --dry-run`);
  assert.equal(
    dry.stdout,
    `- old  10.96.0.99:80/tcp rr nat, 0 real servers
+ tls  10.96.0.10:443/tcp rr nat, 1 real server
~ web  10.96.0.10:80/tcp
    scheduler rr → wlc
    real server 10.244.1.7:8080 drains
1 would be created, 1 would be changed, 1 would be removed, 0 unchanged
`,
  );
  assert.equal((await at.json<ListDocument>("svc ls")).services.length, 2);
  const names = async () =>
    (await at.json<ListDocument>("svc ls")).services.map(({ name }) => name);
  assert.match((await at.knet(`svc apply -f ${file}`)).stdout, /1 created, 1 changed, 0 removed/);
  assert.deepEqual(await names(), ["old", "tls", "web"]);
  assert.match((await at.knet(`svc apply -f ${file} --prune`)).stdout, /^- old .*\n.* 1 removed/);
  assert.deepEqual(await names(), ["tls", "web"]);
  const again = await at.json<{ actions: { action: string }[] }>(`svc apply -f ${file} --prune`);
  assert.deepEqual(again.actions.map(({ action }) => action), ["keep", "keep"]);
});

Deno.test("knet svc apply is done whole or not at all, and names the line", async () => {
  await using at = await withWeb();
  const file = `${at.path}/services.yaml`;
  await Deno.writeTextFile(file, YAML.replace("port: 443", "port: 80"));
  const clash = await at.knet(`svc apply -f ${file}`);
  assert.equal(clash.code, 4);
  assert.match(clash.stderr, /"tls" at 10\.96\.0\.10:80\/tcp: service "web" has this address/);
  await Deno.writeTextFile(file, YAML.replace("port: 443", "port: https"));
  const malformed = await at.knet(`svc apply -f ${file}`);
  assert.equal(malformed.code, 2);
  assert.match(malformed.stderr, /services\.yaml": line 9: "https" is not a whole number/);
  const { services } = await at.json<ListDocument>("svc ls");
  assert.deepEqual(services.map(({ name, scheduler }) => [name, scheduler]), [["web", "rr"]]);
});

Deno.test("knet svc export gives what apply and import take", async () => {
  await using at = await withWeb();
  await at.json("svc add dns --vip 10.96.0.53 --port 53 --protocol udp --to 10.244.0.5");
  const yaml = `${at.path}/out.yaml`;
  await Deno.writeTextFile(yaml, (await at.knet("svc export")).stdout);
  assert.match((await at.knet(`svc apply -f ${yaml} --prune`)).stdout, /^Nothing to change: 2 /);
  const rules = (await at.knet("svc export --format ipvsadm")).stdout;
  assert.equal(
    rules,
    `-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.0.5:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.1.7:8080 -m -w 3
-A -u 10.96.0.53:53 -s rr
-a -u 10.96.0.53:53 -r 10.244.0.5:53 -m -w 1
`,
  );
  const file = `${at.path}/rules`;
  await Deno.writeTextFile(file, rules);
  assert.match((await at.knet(`svc import ${file}`)).stdout, /^Nothing to change: 2 /);
  await Deno.writeTextFile(file, `${rules}-A -t 10.96.0.77:80 -s rr\n`);
  assert.match((await at.knet(`svc import ${file}`)).stdout, /^\+ vs-10\.96\.0\.77-80-tcp /);
  await Deno.writeTextFile(file, `${rules}-A -f 5 -s rr\n`);
  const marked = await at.knet(`svc import ${file}`);
  assert.equal(marked.code, 0);
  assert.match(marked.stderr, /Left out the rules of firewall mark 5 in line 6/);
  await Deno.writeTextFile(file, `${rules}-A -t 10.96.0.78:80 -s fair\n`);
  const malformed = await at.knet(`svc import ${file}`);
  assert.equal(malformed.code, 2);
  assert.match(malformed.stderr, /rules": line 6: cannot use scheduler "fair"/);
});

Deno.test("knet svc timeouts sets those of all hosts", async () => {
  await using at = await withWeb();
  assert.deepEqual(await at.json("svc timeouts"), { tcp: 0, tcpfin: 0, udp: 0 });
  assert.deepEqual(await at.json("svc timeouts --tcp 2h"), { tcp: 7200, tcpfin: 0, udp: 0 });
  assert.match((await at.knet("svc timeouts")).stdout, /tcp +2 h\ntcpfin +the kernel's own/);
  assert.match((await at.knet("svc export")).stdout, /^timeouts:\n {2}tcp: 7200\n/);
});
