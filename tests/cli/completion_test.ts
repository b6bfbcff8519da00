/**
 * The completion scripts, in the shells they are for.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { exec } from "../support/exec.ts";
import { knetProgram } from "../support/host.ts";
import { type Scratch, scratch } from "./run_knet.ts";

async function has(shell: string): Promise<boolean> {
  try {
    return (await exec([shell, "-c", "true"], { check: false })).code === 0;
  } catch {
    return false;
  }
}

/** What bash offers for a line; the last word is the one being typed. */
async function offered(
  script: string,
  line: readonly string[],
  env: Record<string, string> = {},
): Promise<string[]> {
  const program = `${script}
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=(); _knet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await exec(["bash", "-c", program, "bash", ...line], { env });
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

/**
 * What completion offers for names in the store. On a machine that is too busy for it, it gives up and offers nothing, as it should: the
 * key is pressed again.
 */
async function pressed<T extends string | string[]>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0;; tries++) {
    const words = await ask();
    if (words.length > 0 || tries === 4) return words;
  }
}

/** A store with names to complete, and a `knet` that shells find on their path. */
async function furnished(at: Scratch): Promise<Record<string, string>> {
  await at.knet("init");
  await at.knet("lease reserve 10.244.7.0/24 --public-ip 192.0.2.7");
  await at.knet("svc add web --vip 10.96.0.1 --port 80 --to 10.244.7.2:8080 --to 10.244.7.3:8080");
  using database = new DatabaseSync(`${at.path}/knet.db`);
  database.exec("update knet_leases set node_name = 'host-7'");
  const program = `#!/bin/sh\nexec ${knetProgram().join(" ")} "$@"\n`;
  await Deno.writeTextFile(`${at.path}/knet`, program, { mode: 0o755 });
  return { ...at.env, PATH: `${at.path}:${Deno.env.get("PATH")}`, HOME: at.path };
}

Deno.test("knet completion bash offers nodes, services, real servers and interfaces", async () => {
  await using at = await scratch();
  const env = await furnished(at);
  const script = (await at.knet("completion bash")).stdout;
  const lines: [string[], string[]][] = [
    [["lease", "release", ""], ["host-7", "10.244.7.0/24"]],
    [["lease", "show", "ho"], ["host-7"]],
    [["leave", "--node", "h"], ["host-7"]],
    [["leave", "--node", "=", "h"], ["host-7"]],
    [["leave", "--node", "="], ["host-7", "10.244.7.0/24"]],
    [["svc", "rm", ""], ["web"]],
    [["svc", "add", ""], []],
    [["svc", "drain", "web", ""], ["10.244.7.2:8080", "10.244.7.3:8080"]],
    [["svc", "drain", "web", "10.244.7.2", ":", "8"], ["8080"]],
    [["svc", "drain", "web", "10.244.7.2", ":"], ["8080"]],
    [["svc", "drain", "nobody", ""], []],
    [["join", "--iface", "l"], ["lo"]],
    [["--store", "sqlite", ":", "/nowhere/k.db", "svc", "rm", ""], []],
    [["--store", `sqlite`, ":", `${at.path}/knet.db`, "svc", "r"], ["rm"]],
  ];
  for (const [line, words] of lines) {
    const ask = () => offered(script, ["knet", ...line], env);
    assert.deepEqual(await (words.length > 0 ? pressed(ask) : ask()), words, line.join(" "));
  }
});

Deno.test("knet __complete makes nothing, says nothing, and offers nothing that a shell would run", async () => {
  await using at = await scratch();
  const silent = { code: 0, stdout: "", stderr: "" };
  assert.deepEqual(await at.knet("__complete svc rm"), silent);
  assert.deepEqual(await at.knet("__complete svc rm", { KNET_STORE: "mysql://x" }), silent);
  assert.deepEqual(await at.knet("__complete svc rm", { KNET_STROE: "x" }), silent);
  assert.deepEqual(await at.knet("__complete"), silent);
  assert.deepEqual([...Deno.readDirSync(at.path)], []);
  const away = { KNET_STORE: "postgres://192.0.2.1/knet" };
  const began = performance.now();
  assert.deepEqual(await at.knet("__complete lease show", away), silent);
  assert.ok(performance.now() - began < 6000, "a store that is away holds nobody up");
  await furnished(at);
  const named = (name: string) => {
    using database = new DatabaseSync(`${at.path}/knet.db`);
    database.exec(`update knet_leases set node_name = '${name}'`);
  };
  const offers = async () => (await at.knet("__complete lease show")).stdout;
  assert.equal(await pressed(offers), "host-7\n10.244.7.0/24\n");
  named("$(reboot)");
  assert.equal(await offers(), "");
  named("");
  assert.equal(await pressed(offers), "10.244.7.0/24\n");
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
    const env = await furnished(at);
    const ask = `eval "$1"; compadd() { shift; print -l -- "$@" }; LBUFFER=$2; _knet_ask`;
    const offers = async (line: string) => {
      const words = `autoload -Uz compinit; compinit -D -u; ${ask}`;
      return (await exec(["zsh", "-fc", words, "zsh", script, line], { env })).stdout.trim();
    };
    assert.equal(await pressed(() => offers("knet svc rm ")), "web");
    assert.equal(await pressed(() => offers("knet lease show ho")), "host-7\n10.244.7.0/24");
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
    const env = await furnished(at);
    const asks = async (line: string) => {
      const program = `source ${at.path}/knet.fish; complete -C '${line}'`;
      const { stdout } = await exec(["fish", "-N", "-c", program], { env });
      return stdout.split("\n").map((row) => row.split("\t")[0]!).filter((word) => word !== "");
    };
    assert.deepEqual(await pressed(() => asks("knet svc rm w")), ["web"]);
    assert.deepEqual(await pressed(() => asks("knet lease show ho")), ["host-7"]);
    assert.deepEqual(await pressed(() => asks("knet leave --node ho")), ["host-7"]);
    assert.ok((await asks("knet join --iface l")).includes("lo"));
  },
});
