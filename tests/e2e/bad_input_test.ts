/**
 * Acceptance 8: what cannot be is refused, each with its own message and exit status.
 * Longer than others: one case for each mistake.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { startCluster } from "../support/cluster.ts";
import { type CommandLine, words } from "../support/exec.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";

interface Refusal {
  readonly name: string;
  readonly args: CommandLine;
  readonly code: number;
  readonly says: RegExp;
  /** Host number; the second is no member of the cluster. */
  readonly host?: 1 | 2;
  readonly store?: (lab: Lab) => string;
  readonly wrapper?: readonly string[];
  readonly before?: (lab: Lab) => Promise<unknown>;
  readonly after?: (lab: Lab) => Promise<unknown>;
}

const messages = new Map<string, string>();

/** Runs a command that must fail, and checks how. */
async function refused(lab: Lab, refusal: Refusal): Promise<void> {
  const host = lab.host(refusal.host ?? 2);
  await refusal.before?.(lab);
  try {
    const outcome = await host.knet(refusal.args, {
      check: false,
      timeout: 30_000,
      ...(refusal.store === undefined ? {} : { env: { KNET_STORE: refusal.store(lab) } }),
      ...(refusal.wrapper === undefined ? {} : { wrapper: refusal.wrapper }),
    });
    const said = outcome.stdout + outcome.stderr;
    assert.equal(outcome.code, refusal.code, said);
    assert.match(outcome.stderr, refusal.says);
    assert.doesNotMatch(said, /\n\s+at \S+ \(/, "a stack trace");
    assert.doesNotMatch(said, /overlay-secret|wrong-secret/, "a password");
    const line = outcome.stderr.split("\n").find((text) => refusal.says.test(text)) ?? "";
    const twin = [...messages].find(([name, text]) => text === line && name !== refusal.name);
    assert.equal(twin, undefined, "another mistake draws the same message");
    messages.set(refusal.name, line);
    await leftNothing(host);
  } finally {
    await refusal.after?.(lab);
  }
}

async function leftNothing(host: Host): Promise<void> {
  if (host.agent !== undefined) return;
  const { stdout } = await host.run("ip -br link");
  assert.doesNotMatch(stdout, /^knet/m, "a refused command leaves no device");
}

const HIDE = `
  for f in $(find /lib/*-linux-gnu /usr/lib/*-linux-gnu /lib64 /usr/lib64 -maxdepth 1 -name 'libnl-*' 2>/dev/null); do
    [ -e "$f" ] && mount --bind /dev/null "$(realpath "$f")"; done
  exec "$@"`;
/** Runs a command where no libnl is. */
const WITHOUT_LIBNL = ["unshare", "-m", "sh", "-c", HIDE, "sh"];
const COPIES = new URL("../../dist/lib", import.meta.url).pathname;
const WITHOUT_COPIES = [
  "unshare",
  "-m",
  "sh",
  "-c",
  `[ ! -d ${COPIES} ] || mount -t tmpfs none ${COPIES}; exec "$@"`,
  "sh",
];
const POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
const READ_ONLY = [
  "unshare",
  "-m",
  "sh",
  "-c",
  `mount -o remount,ro,bind /run/shared; exec "$@"`,
  "sh",
];

const join = (args: string) => `join --once ${args}`;
const database = (name: string) => () => `sqlite:/run/shared/${name}`;

/** Changes a fresh copy of the cluster's database. */
function copied(name: string, change: (file: string) => void | Promise<void>) {
  return async (lab: Lab) => {
    const file = `${lab.shared}/${name}`;
    await Deno.copyFile(lab.databaseFile, file);
    await change(file);
  };
}

function statement(sql: string): (file: string) => void {
  return (file) => {
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
  };
}

const USAGE: readonly Refusal[] = [
  {
    name: "a malformed network",
    args: "init --network 10.244.0.0/xx",
    code: 2,
    says: /10\.244\.0\.0\/xx/,
  },
  {
    name: "a network with host bits",
    args: "init --network 10.244.0.1/16",
    code: 2,
    says: /10\.244\.0\.0\/16/,
  },
  {
    name: "a network that is too small",
    args: "init --network 10.244.0.0/29",
    code: 2,
    says: /\/29/,
  },
  { name: "an unknown backend", args: join("--backend vxlam"), code: 2, says: /vxlam/ },
  { name: "VNI 0", args: join("--vni 0"), code: 2, says: /VNI|vni/ },
  { name: "VNI 2^24", args: join("--vni 16777216"), code: 2, says: /16777216/ },
  { name: "port 70000", args: join("--port 70000"), code: 2, says: /70000/ },
  { name: "an unknown option", args: "join --bakend vxlan", code: 2, says: /--bakend.*--backend/ },
  { name: "an unknown command", args: "jion", code: 2, says: /jion/ },
];

const HOST: readonly Refusal[] = [
  {
    name: "a caller without privileges",
    args: join(""),
    code: 3,
    says: /CAP_NET_ADMIN|privilege|root/,
    wrapper: POWERLESS,
  },
  {
    name: "a network that overlaps a route of the host",
    args: join(""),
    code: 3,
    says: /10\.244\.7\.0\/24/,
    before: (lab) => lab.host(2).run("ip route add 10.244.7.0/24 via 192.168.2.1"),
    after: (lab) => lab.host(2).run("ip route del 10.244.7.0/24"),
  },
  { name: "an interface that does not exist", args: join("--iface eth7"), code: 3, says: /eth7/ },
  {
    name: "an interface without an address",
    args: join("--iface v0"),
    code: 3,
    says: /v0.*address/,
    before: (lab) => lab.host(2).run("ip link add v0 type veth peer name v1"),
    after: (lab) => lab.host(2).run("ip link del v0"),
  },
  {
    name: "another owner of the VNI",
    args: join(""),
    code: 3,
    says: /flannel\.1/,
    before: (lab) =>
      lab.host(2).sh(
        "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.2.102 dev eth0 nolearning; ip link set flannel.1 up",
      ),
    after: (lab) => lab.host(2).run("ip link del flannel.1"),
  },
];

const CLUSTER: readonly Refusal[] = [
  {
    name: "a backend that contradicts the cluster's",
    args: "join --once --backend host-gw",
    code: 4,
    says: /host-gw.*vxlan|vxlan.*host-gw/s,
  },
  {
    name: "a network that contradicts the cluster's",
    args: join("--network 10.99.0.0/16"),
    code: 4,
    says: /10\.99\.0\.0\/16/,
  },
  {
    name: "a namespace that does not exist",
    host: 1,
    args: "attach nowhere",
    code: 1,
    says: /nowhere/,
  },
  {
    name: "an address outside the subnet",
    host: 1,
    args: "attach spare --ip 10.1.2.3",
    code: 2,
    says: /10\.1\.2\.3/,
  },
  {
    name: "an address that is taken",
    host: 1,
    args: "attach spare --ip 10.244.0.2",
    code: 4,
    says: /10\.244\.0\.2\b.*taken|10\.244\.0\.2\b.*use|10\.244\.0\.2\b.*has/,
  },
  { name: "a second agent", host: 1, args: "join", code: 1, says: /agent|already|lock/ },
  {
    name: "the release of a living node's lease",
    host: 1,
    args: "lease release h1",
    code: 4,
    says: /--force/s,
  },
  { name: "attach on a host that has not joined", args: "attach spare", code: 1, says: /join/ },
];

const SQLITE: readonly Refusal[] = [
  {
    name: "a SQLite file that is read-only",
    args: join(""),
    code: 1,
    says: /read-only|readonly|written/i,
    wrapper: READ_ONLY,
  },
  {
    name: "a SQLite file that is corrupt",
    args: join(""),
    code: 1,
    says: /corrupt|not a database|malformed/i,
    store: database("corrupt.db"),
    before: copied("corrupt.db", (file) => Deno.writeTextFile(file, "x".repeat(8192))),
  },
  {
    name: "a SQLite file in WAL mode",
    args: join(""),
    code: 4,
    says: /WAL/,
    store: database("wal.db"),
    before: copied("wal.db", statement("PRAGMA journal_mode=WAL")),
  },
  {
    name: "a SQLite file of a schema too new",
    args: join(""),
    code: 4,
    says: /schema 99 is too new/,
    store: database("new.db"),
    before: copied(
      "new.db",
      statement("update knet_meta set value = 99 where name in ('schema', 'oldest_reader')"),
    ),
  },
  {
    name: "a SQLite directory that does not exist",
    args: join(""),
    code: 1,
    says: /nowhere/,
    store: () => "sqlite:/nowhere/at/all/knet.db",
  },
  {
    name: "an unknown kind of store",
    args: join(""),
    code: 2,
    says: /mysql/,
    store: () => "mysql://a/b",
  },
];

const onSqlite = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    await startCluster(lab, { hosts: [lab.host(1)], containers: 1 });
    for (const host of lab.hosts) await host.run("ip netns add spare");
  },
});

for (const refusal of [...USAGE, ...HOST, ...CLUSTER, ...SQLITE]) {
  onSqlite(`8: ${refusal.name} is refused`, (lab) => refused(lab, refusal));
}

onSqlite(
  "8: without libnl the sources say which packages hold it, and the binary uses its own copy",
  async (lab) => {
    const host = lab.host(2);
    if (Deno.env.get("KNET_BIN")) {
      await host.knet(["join", "--once"], { wrapper: WITHOUT_LIBNL });
      await host.knet("leave");
      return;
    }
    await refused(lab, {
      name: "no libnl",
      args: join(""),
      code: 3,
      says: /libnl-(route-)?3-200/,
      wrapper: [...WITHOUT_COPIES, ...WITHOUT_LIBNL],
    });
  },
);

const url = (lab: Lab, user: string, password: string, port = 5432) =>
  `postgres://${user}:${password}@${lab.postgres!.address}:${port}/knet`;

const POSTGRES: readonly Refusal[] = [
  {
    name: "a Postgres that refuses connections",
    args: "lease ls",
    code: 1,
    says: /refused|ECONNREFUSED/,
    store: (lab) => url(lab, "knet", "overlay-secret", 5433),
  },
  {
    name: "a wrong password",
    args: "lease ls",
    code: 1,
    says: /password/,
    store: (lab) => url(lab, "knet", "wrong-secret"),
  },
  {
    name: "a database that there is not",
    args: "lease ls",
    code: 1,
    says: /database "knte" does not exist/,
    store: (lab) => url(lab, "knet", "overlay-secret").replace(/knet$/, "knte"),
  },
  {
    name: "a role without rights on the tables",
    args: "lease ls",
    code: 1,
    says: /permission|right|privilege/,
    store: (lab) => url(lab, "guest", "overlay-secret"),
    before: (lab) => lab.postgres!.sql("create role guest login password 'overlay-secret'"),
  },
];

const onPostgres = labSuite({
  hosts: 2,
  store: "postgres",
  setUp: async (lab) => void await lab.host(1).knet("init --network 10.244.0.0/16"),
});

for (const refusal of POSTGRES) {
  onPostgres(`8: ${refusal.name} is refused`, async (lab) => {
    await refused(lab, refusal);
    const agent = { ...refusal, name: `${refusal.name} (join)`, args: words(join("")) };
    delete (agent as { before?: unknown }).before;
    const host = lab.host(2);
    const outcome = await host.knet(agent.args, {
      check: false,
      env: { KNET_STORE: refusal.store!(lab) },
    });
    assert.notEqual(outcome.code, 0, "join --once");
    assert.match(outcome.stderr, refusal.says);
    if (/refuses connections/.test(refusal.name)) return; // It may come to be: an agent waits.
    const first = await host.knet("join", {
      check: false,
      timeout: 20_000,
      env: { KNET_STORE: refusal.store!(lab) },
    });
    assert.equal(first.code, 2, "a first start, which the unit does not repeat");
    assert.match(first.stderr, refusal.says);
  });
}
