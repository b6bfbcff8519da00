/**
 * The completion scripts, in the shells they are for.
 *
 * @module
 */
import assert from "node:assert/strict";
import { exec } from "../support/exec.ts";
import { scratch } from "./run_knet.ts";

async function has(shell: string): Promise<boolean> {
  try {
    return (await exec([shell, "-c", "true"], { check: false })).code === 0;
  } catch {
    return false;
  }
}

/** What bash offers for a line; the last word is the one being typed. */
async function offered(script: string, line: readonly string[]): Promise<string[]> {
  const program = `${script}
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=(); _knet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await exec(["bash", "-c", program, "bash", ...line]);
  return stdout.split("\n").filter((word) => word !== "");
}

Deno.test("knet completion bash offers commands, options and values", async () => {
  await using at = await scratch();
  const script = (await at.knet("completion bash")).stdout;
  assert.deepEqual(await offered(script, ["knet", "jo"]), ["join"]);
  assert.deepEqual(await offered(script, ["knet", "lease", ""]), [
    "ls",
    "show",
    "release",
    "reserve",
    "prune",
  ]);
  assert.deepEqual(await offered(script, ["knet", "lease", "reserve", "--pub"]), ["--public-ip"]);
  assert.deepEqual(await offered(script, ["knet", "--store", "x", "lease", "pr"]), ["prune"]);
  assert.deepEqual(await offered(script, ["knet", "--store", "=", "x", "stat"]), ["status"]);
  assert.deepEqual(await offered(script, ["knet", "join", "--vn"]), ["--vni"]);
  assert.deepEqual(await offered(script, ["knet", "join", "--backend", "vx"]), ["vxlan"]);
  assert.deepEqual(await offered(script, ["knet", "join", "--backend", "=", "ho"]), ["host-gw"]);
  assert.deepEqual(await offered(script, ["knet", "join", "--log-format", "="]), ["text", "json"]);
  assert.deepEqual(await offered(script, ["knet", "completion", "f"]), ["fish"]);
  assert.deepEqual(await offered(script, ["knet", "join", "--vni", ""]), []);
  assert.doesNotMatch(script, /plain-routes/);
});

const zsh = await has("zsh");
Deno.test({
  name: `knet completion zsh is a script that zsh accepts${zsh ? "" : " [skipped: no zsh]"}`,
  ignore: !zsh,
  fn: async () => {
    await using at = await scratch();
    const script = (await at.knet("completion zsh")).stdout;
    assert.match(script, /^#compdef knet\n/);
    await exec(["zsh", "-n"], { stdin: script });
    const load = 'autoload -Uz compinit; compinit -D -u; eval "$1"; whence -w _knet_lease_reserve';
    const { stdout } = await exec(["zsh", "-fc", load, "zsh", script]);
    assert.match(stdout, /function/);
  },
});

const fish = await has("fish");
Deno.test({
  name: `knet completion fish offers commands, options and values${
    fish ? "" : " [skipped: no fish]"
  }`,
  ignore: !fish,
  fn: async () => {
    await using at = await scratch();
    await Deno.writeTextFile(`${at.path}/knet.fish`, (await at.knet("completion fish")).stdout);
    const offers = async (line: string) => {
      const program = `source ${at.path}/knet.fish; complete -C '${line}'`;
      const { stdout } = await exec(["fish", "-N", "-c", program], { env: { HOME: at.path } });
      return stdout.split("\n").map((row) => row.split("\t")[0]!).filter((word) => word !== "");
    };
    assert.deepEqual(await offers("knet jo"), ["join"]);
    assert.ok((await offers("knet lease ")).includes("reserve"));
    assert.deepEqual(await offers("knet join --backend vx"), ["vxlan"]);
    assert.ok((await offers("knet join --vn")).includes("--vni"));
    assert.deepEqual(await offers("knet completion f"), ["fish"]);
  },
});
