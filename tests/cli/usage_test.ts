/**
 * What the command line says and returns, before any store or kernel is touched.
 *
 * @module
 */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { COMMANDS } from "../../cli/commands.ts";
import { VERSION } from "../../cli/version.ts";
import { exec } from "../support/exec.ts";
import { knetProgram } from "../support/host.ts";
import { scratch } from "./run_knet.ts";

Deno.test("knet --version prints the version of deno.json", async () => {
  await using at = await scratch();
  for (const line of ["--version", "-V", "version", "--json --version", "version --json"]) {
    const outcome = await at.knet(line);
    assert.equal(outcome.code, 0);
    assert.equal(outcome.stderr, "");
    assert.ok(outcome.stdout.includes(VERSION));
  }
  assert.equal((await at.knet("--version")).stdout, `knet ${VERSION}\n`);
  // YAML takes what Deno takes: trailing commas, say.
  const project = parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assert.equal(project.version, VERSION);
});

Deno.test("knet without a command shows help on standard error, status 2; asked for, on standard output", async () => {
  await using at = await scratch();
  const bare = await at.knet("");
  assert.equal(bare.code, 2);
  assert.equal(bare.stdout, "");
  const asked = await at.knet("--help");
  assert.equal(asked.code, 0);
  assert.equal(asked.stdout, bare.stderr);
  assert.doesNotMatch(asked.stdout, /plain-routes/);
  for (const { name } of COMMANDS) assert.match(asked.stdout, new RegExp(`^  ${name} `, "m"));
});

Deno.test("knet COMMAND --help shows usage, options and examples of each command", async () => {
  await using at = await scratch();
  const commands = COMMANDS.map(({ name }) => name).filter((name) =>
    name !== "lease" && name !== "svc"
  );
  for (const name of [...commands, "lease ls", "lease reserve", "svc add", "svc apply"]) {
    const outcome = await at.knet(`${name} --help`);
    assert.equal(outcome.code, 0, outcome.stderr);
    for (const part of [`knet ${name}`, "Usage", "--store URL", "--json", "Examples", "--help"]) {
      assert.ok(outcome.stdout.includes(part), `${name}: ${part}`);
    }
    assert.ok(outcome.stdout.split("\n").every((line) => line.length <= 80), `${name}: width`);
    assert.equal(outcome.stdout.includes("\x1b"), false, "no colour off a terminal");
  }
  assert.equal((await at.knet("help join")).stdout, (await at.knet("join --help")).stdout);
  assert.match((await at.knet("lease --help")).stdout, /reserve/);
  assert.doesNotMatch((await at.knet("join --help")).stdout, /plain-routes/);
});

const WRONG: readonly (readonly [line: string, says: RegExp])[] = [
  ["jion", /there is no such command, did you mean "join"\?/],
  ["frobnicate", /there is no such command$/m],
  ["svc lss", /did you mean "ls"\?/],
  ["lease", /Usage/],
  ["lease lss", /did you mean "ls"\?/],
  ["status --jsn", /did you mean "--json"\?/],
  ["status extra", /"extra": "knet status" takes no arguments/],
  ["attach", /NETNS is missing/],
  ["trace web", /DESTINATION is missing/],
  ["attach a b", /no more than NETNS/],
  ["completion bahs", /did you mean "bash"/],
  ["init --vni 0", /--vni: "0".* from 1 to 16777215/],
  ["init --vni=16777216", /"16777216"/],
  ["init --port 70000", /--port: "70000" is not a port: give a whole number from 1 to 65535/],
  ["init --backend vxlam", /"vxlam" is not a backend.*did you mean "vxlan"/],
  ["init --backend udp --vni 2", /"--vni": the backend "udp" has no such option/],
  ["init --network 10.244.0.0/xx", /--network "10\.244\.0\.0\/xx": it is not/],
  ["init --network 10.244.0.1/16", /--network "10\.244\.0\.1\/16": .*10\.244\.0\.0\/16/],
  ["init --network 10.244.0.0/29", /--network: "10\.244\.0\.0\/29" is too small/],
  ["init --network 10.0.0.0/7", /--network: /],
  ["init --network 10.244.0.0", /--network "10\.244\.0\.0": it is not/],
  ["init --network 10.244.0.0/24 --subnet-len 25", /25/],
  ["init --subnet-len 31", /subnet length 31: it is not between 18 and 30/],
  ["init --subnet-len 9", /--subnet-len: "9"/],
  ["init --help=yes", /"--help=yes": it takes no value/],
  ["init --network=", /"--network": it needs a value/],
  ["init --vni 99999999999999999999", /"99999999999999999999"/],
  ["init --lease-ttl 99999999d", /"99999999d" is too long: give at most 3650 days/],
  ["init --store sqlite::memory:", /a store in memory is gone at once/],
  ["init --from-flannel /", /"\/": it is a directory/],
  ["svc apply -f /", /"\/": it is a directory/],
  ["status --config /", /"\/": it is a directory/],
  ["init --lease-ttl soon", /--lease-ttl: "soon" is not a span of time/],
  ["init --mtu 70", /--mtu: "70" is not an MTU/],
  ["init --from-flannel /nowhere.json", /"\/nowhere\.json": there is no such file/],
  ["init --from-flannel x --network 10.0.0.0/16", /--from-flannel/],
  ["join --bakend vxlan", /"--bakend".*did you mean "--backend"/],
  ["join --public-ip 10.0.0", /--public-ip "10\.0\.0": /],
  ["join --bridge a/b", /--bridge: "a\/b" is not an interface name/],
  ["join --listen 9472", /--listen: "9472"/],
  ["join --store mysql://a/b", /--store: "mysql:" is no store/],
  ["join --log-level loud", /"loud" is not a log level/],
  ["join --config /nowhere.yaml", /"\/nowhere\.yaml": there is no such file/],
  ["lease reserve 10.244.1.0/24", /"--public-ip" is missing/],
  [
    "lease reserve 10.244.1.1/24 --public-ip 10.0.0.1",
    /SUBNET "10\.244\.1\.1\/24": .*10\.244\.1\.0\/24/,
  ],
];

for (const [line, says] of WRONG) {
  Deno.test(`knet ${line} is wrong usage, status 2`, async () => {
    await using at = await scratch();
    const outcome = await at.knet(line);
    assert.equal(outcome.code, 2, outcome.stderr);
    assert.equal(outcome.stdout, "");
    assert.match(outcome.stderr, says);
    assert.doesNotMatch(outcome.stderr, /\n\s+at \S+ \(/, "a stack trace");
  });
}

Deno.test("knet reads KNET_ variables and the file, and says which of them is wrong", async () => {
  await using at = await scratch();
  const env = await at.knet("status", { KNET_LOG_FORMAT: "xml" });
  assert.equal(env.code, 2);
  assert.match(env.stderr, /KNET_LOG_FORMAT: "xml" is not a log format/);
  await Deno.writeTextFile(`${at.path}/knet.yaml`, "lgo-level: debug\n");
  const file = await at.knet(`status --config ${at.path}/knet.yaml`);
  assert.equal(file.code, 2);
  assert.match(file.stderr, /"lgo-level", did you mean "log-level"\?/);
});

Deno.test("knet with --json gives errors as one document on standard output, wrong usage too", async () => {
  await using at = await scratch();
  const lines: [string, number, RegExp][] = [
    ["--json", 2, /COMMAND is missing/],
    ["frob --json", 2, /no such command/],
    ["--json=true init --network x", 2, /--network/],
    ["lease show nobody --json", 4, /there is no knet store/],
    ["status --json", 1, /no agent runs/],
    ["lease ls --jsn --json", 2, /did you mean "--json"/],
  ];
  for (const [line, code, says] of lines) {
    const outcome = await at.knet(line);
    assert.equal(outcome.code, code, line);
    assert.equal(outcome.stderr, "", line);
    const { error } = JSON.parse(outcome.stdout);
    assert.deepEqual(Object.keys(error), ["message", "remedy", "exitCode"]);
    assert.match(error.message, says);
    assert.ok(error.remedy.length > 0);
    assert.equal(error.exitCode, code);
  }
  for (const line of ["frob --json --no-json", "frob --json=false"]) {
    const outcome = await at.knet(line);
    assert.match(outcome.stderr, /^knet: /);
    assert.equal(outcome.stdout, "");
  }
});

Deno.test("knet gives one exit status for what the store does not know, whatever the command", async () => {
  await using at = await scratch();
  await at.knet("init");
  await at.knet("svc add web --vip 10.96.0.1 --port 80");
  const lines = [
    ...["lease show", "lease release", "leave --node", "svc show", "svc rm"].map((command) =>
      `${command} nobody`
    ),
    ...["svc to nobody", "svc drain nobody", "svc drop web"].map((c) => `${c} 10.244.1.2:80`),
    "svc set nobody --scheduler rr",
  ];
  for (const line of lines) {
    const { code, stderr } = await at.knet(line);
    assert.equal(code, 4, `${line}: ${stderr}`);
    assert.match(stderr, /\n {2}\S/, "a remedy");
  }
});

Deno.test("knet says where a result could not be written, and is silent where nobody reads on", async () => {
  await using at = await scratch();
  const run = (redirect: string, line: string) =>
    exec(["sh", "-c", `"$@" ${redirect}`, "sh", ...knetProgram(), ...line.split(" ")], {
      env: { KNET_STORE: `sqlite:${at.path}/knet.db` },
      check: false,
    });
  for (const line of ["--help", "--version", "version --json", "svc ls --help"]) {
    const { code, stderr } = await run("> /dev/full", line);
    assert.equal(code, 1, line);
    assert.match(stderr, /Cannot write the result to standard output: No space left/);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
  assert.equal((await run("2> /dev/full", "frob")).code, 2);
  assert.deepEqual(await run("| true", "join --help"), { code: 0, stdout: "", stderr: "" });
});

Deno.test("knet warns of a variable that is no setting, once, beside the result", async () => {
  await using at = await scratch();
  await at.knet("init");
  const { code, stdout, stderr } = await at.knet("lease ls", { KNET_STROE: "sqlite:/x.db" });
  assert.equal(code, 0);
  assert.equal(stdout, "No leases\n");
  assert.equal(stderr.trim().split("\n").length, 1);
  assert.match(stderr, /KNET_STROE is ignored.*did you mean "KNET_STORE"\?/);
});
