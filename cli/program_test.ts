import assert from "node:assert/strict";
import fc from "fast-check";
import { type CommandEntry, type CommandGroup, defineCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { globalOptions } from "./shared_options.ts";
import { choice, hostAddress, integer, span, text } from "./value_checks.ts";
import { flag, list, type OptionTable, value } from "./option_table.ts";
import { refusal } from "./option_value.ts";
import { readCommandLine } from "./program.ts";

const table = {
  vni: value("NUMBER", "VNI", integer("a VNI", 1, 2 ** 24 - 1)),
  node: value("NAME", "node", text),
  backend: value("NAME", "backend", choice("a backend", ["vxlan", "host-gw"])),
  "ip-masq": flag("masquerade"),
  secret: flag("hidden", { hidden: true }),
};
/** A command that takes up to five words. */
function command(name: string, options: OptionTable) {
  return defineCommand({
    name,
    summary: `to ${name}`,
    words: ["A", "B", "C", "D", "E"].map((word) => ({
      name: word,
      help: "a word",
      optional: true,
    })),
    options,
    examples: [],
    run: () => Promise.resolve(),
  });
}

const lease: CommandGroup = {
  name: "lease",
  summary: "leases",
  commands: [command("lease ls", {}), command("lease show", { node: table.node })],
};
const entry = (name: string, options: OptionTable): CommandEntry => ({
  name,
  summary: `to ${name}`,
  load: () => Promise.resolve(command(name, options)),
});
const commands = [
  entry("join", table),
  entry("apply", { to: list("SERVER", "", text), file: value("FILE", "", text, { short: "f" }) }),
  { ...lease, load: () => Promise.resolve(lease) },
];
const read = (...args: string[]) => readCommandLine(args, commands, globalOptions);

async function call(...args: string[]) {
  const request = await read(...args);
  assert.ok(request.kind === "call", request.kind);
  return request;
}
const parse = (...args: string[]) => call("join", ...args);

async function help(...args: string[]) {
  const request = await read(...args);
  assert.ok(request.kind === "help", request.kind);
  return request;
}

async function refused(args: string[], pattern: RegExp): Promise<void> {
  await assert.rejects(parse(...args), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.exitCode, 2);
    assert.match(error.message, pattern);
    assert.match(error.remedy ?? "", /knet join --help/);
    return true;
  });
}

Deno.test("readCommandLine() takes --flag value and --flag=value, words in between", async () => {
  const line = await parse("a", "--vni", "7", "--node=x=y", "b", "--ip-masq");
  assert.deepEqual(line.words, ["a", "b"]);
  assert.deepEqual(line.options, { vni: 7, node: "x=y", "ip-masq": true });
  assert.equal(line.context, "knet join");
});

Deno.test("readCommandLine() denies a flag by --no-NAME and by =false", async () => {
  assert.equal((await parse("--no-ip-masq")).options["ip-masq"], false);
  assert.equal((await parse("--ip-masq=false")).options["ip-masq"], false);
  assert.equal((await parse("--ip-masq=true")).options["ip-masq"], true);
  await refused(["--ip-masq=perhaps"], /"perhaps" is neither true nor false/);
  await refused(["--no-ip-masq=yes"], /takes no value/);
});

Deno.test("readCommandLine() lets the last of a repeated option hold", async () => {
  assert.equal((await parse("--vni", "1", "--vni=2")).options.vni, 2);
});

Deno.test("readCommandLine() takes what follows -- as words", async () => {
  assert.deepEqual((await parse("--", "--vni")).words, ["--vni"]);
});

Deno.test("readCommandLine() accepts hidden options and names none of them", async () => {
  assert.equal((await parse("--secret")).options.secret, true);
  await refused(["--secrte"], /no such option$/);
});

Deno.test("readCommandLine() names an unknown option and the one that was meant", async () => {
  await refused(["--vnj=3"], /Cannot understand "--vnj": .*did you mean "--vni"\?/);
  await refused(["-x"], /"-x"/);
  await refused(["--no-vni"], /"--no-vni"/);
});

Deno.test("readCommandLine() names the value and what is allowed", async () => {
  await refused(["--vni", "0"], /--vni: "0" is not a VNI: give a whole number from 1 to 16777215/);
  await refused(["--vni", "16777216"], /"16777216"/);
  await refused(["--vni=-1"], /"-1"/);
  await refused(["--vni=1e3"], /"1e3"/);
  await refused(["--backend", "vxlam"], /give "vxlan" or "host-gw" \(did you mean "vxlan"\?\)/);
});

Deno.test("readCommandLine() misses a value that is not there, empty, or another option", async () => {
  await refused(["--vni"], /needs a value \(NUMBER\)/);
  await refused(["--node="], /needs a value/);
  await refused(["--node", "--ip-masq"], /"--node": it needs a value/);
});

Deno.test("readCommandLine() does not judge values when help is asked for", async () => {
  const asked = await help("join", "--vni", "0", "--help");
  assert.equal(asked.asked, true);
  assert.match(asked.text, /^knet join: to join\n\nUsage\n {2}knet join \[A\] .*\[OPTIONS\]\n/);
  assert.equal((await help("join", "-h")).text, asked.text);
  assert.equal((await help("help", "join")).text, asked.text);
});

Deno.test("readCommandLine() gives back what it was given, or a usage error", async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.string(), { maxLength: 6 }), async (args) => {
    try {
      await read("join", ...args);
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
    }
  }));
});

Deno.test("readCommandLine() finds the command behind options of every command and their values", async () => {
  const { command, options, words } = await call("--config", "n", "join", "--json", "a");
  assert.equal(command.name, "join");
  assert.deepEqual(options, { config: "n", json: true });
  assert.deepEqual(words, ["a"]);
  assert.equal((await call("--config=n", "join")).command.name, "join");
  assert.equal((await call("--json", "join")).command.name, "join");
  const inGroup = await call("--json=false", "lease", "--config", "n", "show", "--node", "x", "a");
  assert.equal(inGroup.context, "knet lease show");
  assert.deepEqual(inGroup.options, { config: "n", json: false, node: "x" });
  assert.deepEqual(inGroup.words, ["a"]);
});

Deno.test("readCommandLine() shows help in place of a command that is missing", async () => {
  assert.equal((await help("lease")).asked, false);
  assert.equal((await help("--json")).asked, false);
  assert.equal((await help("--help")).asked, true);
  assert.equal((await help("lease", "--help")).text, (await help("lease")).text);
  assert.match((await help("lease")).text, /^ {2}show {2}to lease show$/m);
  assert.doesNotMatch((await help("lease")).text, /^ {2}help/m);
});

Deno.test("readCommandLine() names an unknown command and the one that was meant, help or not", async () => {
  const says = (context: string, state: RegExp, ...args: string[]) =>
    assert.rejects(read(...args), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, state);
      assert.equal(error.remedy, `See "${context} --help"`);
      return true;
    });
  await says("knet", /"knet jion": there is no such command, did you mean "join"\?$/, "jion");
  await says("knet", /"knet jion"/, "jion", "--help");
  await says("knet", /"knet jion"/, "help", "jion");
  await says("knet", /"knet constructor": there is no such command$/, "constructor");
  await says("knet lease", /"knet lease sl": .*"ls"\?$/, "lease", "sl");
  await says(
    "knet lease",
    /"--node": knet lease has no such option$/,
    "lease",
    "--node",
    "x",
    "ls",
  );
});

Deno.test("readCommandLine() loads no command but the one called", async () => {
  const unwanted: CommandEntry = {
    name: "other",
    summary: "",
    load: () => Promise.reject(new Error("loaded")),
  };
  await readCommandLine(["join"], [unwanted, ...commands], globalOptions);
  await readCommandLine(["--help"], [unwanted, ...commands], globalOptions);
  await assert.rejects(readCommandLine(["other"], [unwanted], globalOptions), /loaded/);
});

Deno.test("readCommandLine() tells --version from all else", async () => {
  assert.equal((await read("--json", "--version")).kind, "version");
  assert.equal((await read("lease", "ls", "--version")).kind, "version");
});

Deno.test("span() reads days, hours, minutes, seconds", async () => {
  const parseSpan = span(10);
  assert.equal(await parseSpan("24h"), 86_400);
  assert.equal(await parseSpan("1h30m"), 5400);
  assert.equal(await parseSpan("90"), 90);
  await assert.rejects(parseSpan("5s"), /at least 10 s/);
  await assert.rejects(parseSpan("h"), /"h" is not a span/);
  await assert.rejects(parseSpan("1m500ms"), RangeError);
  await assert.rejects(parseSpan(""), RangeError);
});

Deno.test("readCommandLine() takes all values of an option that may be repeated, and its letter", async () => {
  const { options } = await call("apply", "--to", "a", "-f", "x", "--to=b", "--file", "y");
  assert.deepEqual(options, { to: ["a", "b"], file: "y" });
});

Deno.test("refusal() puts the option in the place of what core was doing", () => {
  assert.equal(
    refusal("--ip", 'Cannot read the address "10.0": it is neither IPv4 nor IPv6'),
    'Cannot use --ip "10.0": it is neither IPv4 nor IPv6',
  );
  assert.equal(refusal("--vni", '"0" is not a VNI'), 'Cannot use --vni: "0" is not a VNI');
});

Deno.test("hostAddress() takes what a host can be reached at, and says what is wrong with the rest", async () => {
  assert.equal(await hostAddress("10.0.2.15"), "10.0.2.15");
  assert.equal(await hostAddress("FD00:0::1"), "fd00::1");
  for (
    const [input, what] of [
      ["127.0.0.1", /"127\.0\.0\.1" is a loopback address/],
      ["0.0.0.0", /unspecified/],
      ["224.0.0.1", /multicast/],
      ["255.255.255.255", /broadcast/],
      ["240.1.1.1", /reserved/],
      ["169.254.3.4", /link-local/],
      ["fe80::1", /link-local/],
      ["::ffff:10.0.0.1", /10\.0\.0\.1 in IPv6 notation/],
    ] as const
  ) await assert.rejects(hostAddress(input), what, input);
});
