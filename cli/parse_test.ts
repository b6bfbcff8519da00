import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "./errors.ts";
import { choice, integer, span, text } from "./options.ts";
import { flag, list, value } from "./option_table.ts";
import { parseCommandLine, refusal, takeWord } from "./parse.ts";

const table = {
  vni: value("NUMBER", "VNI", integer("a VNI", 1, 2 ** 24 - 1)),
  node: value("NAME", "node", text),
  backend: value("NAME", "backend", choice("a backend", ["vxlan", "host-gw"])),
  "ip-masq": flag("masquerade"),
  secret: flag("hidden", { hidden: true }),
};
const parse = (...args: string[]) => parseCommandLine(args, table, "knet join");

async function refused(args: string[], pattern: RegExp): Promise<void> {
  await assert.rejects(parse(...args), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.exitCode, 2);
    assert.match(error.message, pattern);
    assert.match(error.remedy ?? "", /knet join --help/);
    return true;
  });
}

Deno.test("parseCommandLine() takes --flag value and --flag=value, words in between", async () => {
  const line = await parse("a", "--vni", "7", "--node=x=y", "b", "--ip-masq");
  assert.deepEqual(line.words, ["a", "b"]);
  assert.deepEqual(line.options, { vni: 7, node: "x=y", "ip-masq": true });
  assert.equal(line.help, false);
});

Deno.test("parseCommandLine() denies a flag by --no-NAME and by =false", async () => {
  assert.equal((await parse("--no-ip-masq")).options["ip-masq"], false);
  assert.equal((await parse("--ip-masq=false")).options["ip-masq"], false);
  assert.equal((await parse("--ip-masq=true")).options["ip-masq"], true);
  await refused(["--ip-masq=perhaps"], /"perhaps" is neither true nor false/);
  await refused(["--no-ip-masq=yes"], /takes no value/);
});

Deno.test("parseCommandLine() lets the last of a repeated option hold", async () => {
  assert.equal((await parse("--vni", "1", "--vni=2")).options.vni, 2);
});

Deno.test("parseCommandLine() takes what follows -- as words", async () => {
  assert.deepEqual((await parse("--", "--vni")).words, ["--vni"]);
});

Deno.test("parseCommandLine() accepts hidden options and names none of them", async () => {
  assert.equal((await parse("--secret")).options.secret, true);
  await refused(["--secrte"], /no such option$/);
});

Deno.test("parseCommandLine() names an unknown option and the one that was meant", async () => {
  await refused(["--vnj=3"], /Cannot understand "--vnj": .*did you mean "--vni"\?/);
  await refused(["-x"], /"-x"/);
  await refused(["--no-vni"], /"--no-vni"/);
});

Deno.test("parseCommandLine() names the value and what is allowed", async () => {
  await refused(["--vni", "0"], /--vni: "0" is not a VNI: give a whole number from 1 to 16777215/);
  await refused(["--vni", "16777216"], /"16777216"/);
  await refused(["--vni=-1"], /"-1"/);
  await refused(["--vni=1e3"], /"1e3"/);
  await refused(["--backend", "vxlam"], /give "vxlan" or "host-gw" \(did you mean "vxlan"\?\)/);
});

Deno.test("parseCommandLine() misses a value that is not there, empty, or another option", async () => {
  await refused(["--vni"], /needs a value \(NUMBER\)/);
  await refused(["--node="], /needs a value/);
  await refused(["--node", "--ip-masq"], /"--node": it needs a value/);
});

Deno.test("parseCommandLine() does not judge values when help is asked for", async () => {
  assert.equal((await parse("--vni", "0", "--help")).help, true);
  assert.equal((await parse("-h")).help, true);
});

Deno.test("parseCommandLine() gives back what it was given, or a usage error", async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.string(), { maxLength: 6 }), async (args) => {
    try {
      await parse(...args);
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
    }
  }));
});

Deno.test("takeWord() finds the command behind global options and their values", () => {
  assert.deepEqual(takeWord(["--node", "n", "status", "--json"], table, "knet"), {
    word: "status",
    rest: ["--node", "n", "--json"],
  });
  assert.deepEqual(takeWord(["--node=n", "ls"], table, "knet").word, "ls");
  assert.deepEqual(takeWord(["--ip-masq", "ls"], table, "knet").word, "ls");
  assert.deepEqual(takeWord(["--help"], table, "knet"), { word: undefined, rest: ["--help"] });
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

Deno.test("parseCommandLine() takes all values of an option that may be repeated, and its letter", async () => {
  const table = {
    to: list("SERVER", "", text),
    file: value("FILE", "", text, { short: "f" }),
  };
  const { options } = await parseCommandLine(
    ["--to", "a", "-f", "x", "--to=b", "--file", "y"],
    table,
    "knet",
  );
  assert.deepEqual(options, { to: ["a", "b"], file: "y" });
});

Deno.test("refusal() puts the option in the place of what core was doing", () => {
  assert.equal(
    refusal("--ip", 'Cannot read the address "10.0": it is neither IPv4 nor IPv6'),
    'Cannot use --ip "10.0": it is neither IPv4 nor IPv6',
  );
  assert.equal(refusal("--vni", '"0" is not a VNI'), 'Cannot use --vni: "0" is not a VNI');
});
