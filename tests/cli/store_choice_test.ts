/**
 * Which store a command uses: the one that was named, else that of this host's agent; and that reading makes none.
 *
 * @module
 */
import assert from "node:assert/strict";
import { recordStore, storeAddress } from "../../core/store/recorded_store.ts";
import { exec } from "../support/exec.ts";
import { knetProgram } from "../support/host.ts";
import { type Scratch, scratch } from "./run_knet.ts";

/** As an agent that joined by the store of the scratch directory leaves it. */
function joined(at: Scratch): void {
  recordStore(`${at.path}/data`, storeAddress(`sqlite:${at.path}/knet.db`));
}

/** A new shell. */
const BARE = { KNET_STORE: "" };

/** All that is below a directory. */
function below(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

/** Commands that need a store that is there, each as it stands in a new shell. */
const NEED_STORE = [
  "lease ls",
  "lease show a",
  "lease release a",
  "lease reserve 10.244.1.0/24 --public-ip 192.0.2.1",
  "lease prune",
  "svc ls",
  "svc show web",
  "svc add web --vip 10.96.0.1 --port 80",
  "svc rm web",
  "svc to web 10.244.1.2:80",
  "svc export",
  "svc timeouts",
  "leave --node a",
];

Deno.test("knet without KNET_STORE uses the store that this host's agent recorded", async () => {
  await using at = await scratch();
  await at.knet("init");
  await at.knet("lease reserve 10.244.7.0/24 --public-ip 192.0.2.7");
  joined(at);
  for (const line of ["lease ls", "lease show 10.244.7.0/24"]) {
    const { code, stdout, stderr } = await at.knet(line, BARE);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /10\.244\.7\.0\/24/);
  }
  const added = await at.knet("svc add web --vip 10.96.0.1 --port 80", BARE);
  assert.equal(added.code, 0, added.stderr);
  assert.match((await at.knet("svc export")).stdout, /web/);
  assert.equal((await at.knet("leave --node 10.244.7.0/24", BARE)).code, 0);
  assert.equal((await at.knet("lease ls")).stdout, "No leases\n");
});

Deno.test("knet refuses a store that is not the agent's unless asked twice, however it was named", async () => {
  await using at = await scratch();
  await at.knet("init");
  joined(at);
  const other = `sqlite:${at.path}/other.db`;
  await Deno.writeTextFile(`${at.path}/knet.yaml`, `store: ${other}\n`);
  const ways: [string, Record<string, string>, RegExp, string[]][] = [
    [`--store ${other}`, {}, /of --store: /, [...NEED_STORE, "init", "leave", "status"]],
    ["", { KNET_STORE: other }, /of KNET_STORE: /, ["lease ls", "leave"]],
    [`--config ${at.path}/knet.yaml`, BARE, /of "store" of the config/, ["svc export", "init"]],
  ];
  for (const [option, env, source, lines] of ways) {
    for (const line of lines) {
      const { code, stdout, stderr } = await at.knet(`${line} ${option}`, env);
      assert.equal(code, 4, `${line}: ${stderr}`);
      assert.equal(stdout, "");
      assert.match(stderr, source);
      assert.ok(stderr.includes(`this host's agent uses sqlite:${at.path}/knet.db`), stderr);
      assert.match(stderr, /--other-store/);
    }
    assert.ok(!below(at.path).includes("other.db"));
  }
  const twice = await at.knet(`init --other-store --store ${other}`);
  assert.equal(twice.code, 0, twice.stderr);
  assert.equal((await at.knet("lease ls --other-store", { KNET_STORE: other })).code, 0);
  assert.equal((await at.knet(`lease ls --store sqlite://${at.path}/./knet.db`)).code, 0);
});

Deno.test("knet shows no password of the store that the agent recorded", async () => {
  await using at = await scratch();
  recordStore(`${at.path}/data`, storeAddress("postgres://knet:hunter2@127.0.0.1:1/knet"));
  for (
    const [line, env] of [["lease ls", BARE], ["lease ls --log-level debug", {}], [
      "svc ls --json",
      {},
    ]] as const
  ) {
    const { code, stdout, stderr } = await at.knet(line, env);
    assert.notEqual(code, 0);
    assert.doesNotMatch(stdout + stderr, /hunter2/);
    assert.match(stdout + stderr, /knet@127\.0\.0\.1:1/);
  }
});

Deno.test("knet makes nothing where there is no store, and says so", async () => {
  await using at = await scratch();
  const file = `${at.path}/knet.db`;
  for (
    const [path, lines] of [[file, NEED_STORE], [`${at.path}/sub/knet.db`, ["lease ls"]]] as const
  ) {
    for (const line of lines) {
      const { code, stderr } = await at.knet(line, { KNET_STORE: `sqlite:${path}` });
      assert.equal(code, 4, `${line}: ${stderr}`);
      assert.ok(stderr.includes(`there is no knet store at ${path}`), stderr);
      assert.match(stderr, /KNET_STORE/);
    }
  }
  await at.knet("doctor");
  await at.knet("status");
  assert.deepEqual(below(at.path), []);
  // A file without tables is no store either, and stays as it is.
  await Deno.writeTextFile(file, "");
  const { code, stderr } = await at.knet("lease ls");
  assert.equal(code, 4);
  assert.match(stderr, /there is no knet store at/);
  assert.equal((await Deno.stat(file)).size, 0);
  assert.deepEqual(below(at.path), ["knet.db"]);
});

/** Root without the power to read what belongs to others is to these files what an ordinary user is to root's. */
const POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
const SOMEBODY = 65534;
const root = Deno.uid() === 0;

Deno.test({
  name: "knet tells an ordinary user that only root can read which store the agent uses" +
    (root ? "" : " [skipped: needs root]"),
  ignore: !root,
  fn: async () => {
    await using at = await scratch();
    await at.knet("init");
    joined(at);
    await Deno.chown(`${at.path}/data`, SOMEBODY, SOMEBODY);
    await Deno.chown(`${at.path}/knet.db`, SOMEBODY, SOMEBODY);
    await Deno.chmod(`${at.path}/knet.db`, 0o644);
    const knet = (line: string[], env: Record<string, string>) =>
      exec([...POWERLESS, ...knetProgram(), ...line], {
        env: { KNET_DATA_DIR: `${at.path}/data`, KNET_STATE_DIR: `${at.path}/run`, ...env },
        check: false,
      });
    const hidden = await knet(["lease", "ls"], BARE);
    assert.equal(hidden.code, 3, hidden.stderr);
    assert.match(hidden.stderr, /only root may read ".*store\.json"\n\s+Run it as root, or name/);
    // What is named is enough to read it, even where it may not be written.
    const named = await knet(["lease", "ls"], { KNET_STORE: `sqlite:${at.path}/knet.db` });
    assert.equal(named.code, 0, named.stderr);
  },
});

Deno.test({
  name:
    "knet tells an ordinary user that the agent is not his to ask, and shows what the store has" +
    (root ? "" : " [skipped: needs root]"),
  ignore: !root,
  fn: async () => {
    await using at = await scratch();
    await at.knet("init");
    await at.knet("svc add web --vip 10.96.0.1 --port 80");
    await Deno.mkdir(`${at.path}/run`);
    const path = `${at.path}/run/knet.sock`;
    using _agent = Deno.listen({ transport: "unix", path });
    await Deno.chmod(path, 0o660);
    for (const file of [path, `${at.path}/knet.db`]) await Deno.chown(file, SOMEBODY, SOMEBODY);
    await Deno.chmod(`${at.path}/knet.db`, 0o644);
    const knet = (line: string) =>
      exec([...POWERLESS, ...knetProgram(), ...line.split(" ")], {
        env: { ...at.env },
        check: false,
      });
    for (const line of ["status", "svc status"]) {
      const { code, stderr } = await knet(line);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /this user may not open ".*knet\.sock"\n\s+Run it as root/);
    }
    for (const line of ["svc ls", "svc show web"]) {
      const { code, stdout, stderr } = await knet(line);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /web/);
    }
  },
});
