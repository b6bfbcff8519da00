/**
 * What ships beside the binary: the unit, and the files that keep others off knet's devices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { endOfStart } from "../core/agent/service_manager.ts";
import { KnetError } from "../core/base/error.ts";
import { postgresError } from "../core/store/postgres_errors.ts";
import { hostIfname } from "../core/container/wire.ts";
import { exec } from "../tests/support/exec.ts";
import { skip } from "../tests/support/skip.ts";
import { report } from "../tests/support/wait.ts";

const folder = new URL("./", import.meta.url).pathname;
const UNIT = "knet.service";
/** Each file, and the place that its first lines must name. */
const PLACES: Record<string, string> = {
  [UNIT]: "/etc/systemd/system/knet.service",
  "10-knet.network": "/etc/systemd/network/10-knet.network",
  "10-knet.link": "/etc/systemd/network/10-knet.link",
  "10-knet-networkd.conf": "/etc/systemd/networkd.conf.d/10-knet.conf",
  "10-knet-networkmanager.conf": "/etc/NetworkManager/conf.d/10-knet.conf",
};

const read = (name: string) => Deno.readTextFileSync(folder + name);

/** `Key=` lines of a file, comments left out. */
function settings(name: string): Map<string, string> {
  const lines = read(name).split("\n").filter((line) => /^\w[\w+-]*=/.test(line));
  return new Map(lines.map((line) => {
    const at = line.indexOf("=");
    return [line.slice(0, at), line.slice(at + 1)];
  }));
}

/** The names that a list of shell patterns stands for. */
function matcher(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map((pattern) =>
    new RegExp(
      `^${pattern.replace(/[.+]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".")}$`,
    )
  );
  return (name) => expressions.some((expression) => expression.test(name));
}

for (const [name, place] of Object.entries(PLACES)) {
  Deno.test(`dist/${name} says where it goes`, () => {
    const head = read(name).split("\n\n")[0]!;
    assert.ok(head.split("\n").every((line) => line.startsWith("#")), head);
    assert.ok(head.includes(`to ${place}`), head);
  });
}

Deno.test("the unit tries again what may pass, not wrong usage, which a database that there is not is at first", () => {
  const unit = settings(UNIT);
  assert.equal(unit.get("Restart"), "always");
  const prevented = unit.get("RestartPreventExitStatus")!.split(" ").map(Number);
  const refusal = Object.assign(new Error("no"), { code: "3D000", severity: "FATAL" });
  const end = endOfStart(postgresError("postgres://db/knte", refusal), false);
  assert.ok(end instanceof KnetError);
  // What a host lacks, and conflicts: whoever starts it first is told; after that the agent waits by itself, see core/agent/patience.ts.
  assert.deepEqual(prevented, [end.exitCode, 3, 4]);
  // Faults, and a store that went away, come with 1: at once, and for ever.
  assert.equal(unit.get("RestartSec"), "2");
  assert.equal(unit.get("RestartSteps"), undefined, "unknown to systemd before 254");
});

Deno.test("the files beside the unit match all devices of knet and no others", () => {
  const network = settings("10-knet.network").get("Name")!;
  const link = settings("10-knet.link").get("OriginalName")!;
  const unmanaged = settings("10-knet-networkmanager.conf").get("unmanaged-devices+")!;
  const lists = [network.split(" "), link.split(" ")];
  lists.push(unmanaged.split(";").map((part) => part.replace("interface-name:", "")));
  const own = ["knet0", "knet.1", "knet.16777215", "knet-ipvs0"];
  for (let n = 0; n < 100; n++) own.push(hostIfname(`4:${n}`, "eth0"));
  for (const list of lists) {
    const matches = matcher(list);
    for (const device of own) assert.ok(matches(device), `${list} misses ${device}`);
    for (const device of ["eth0", "enp3s0", "kvm0", "virbr0", "kn0", "flannel.1", "cni0"]) {
      assert.ok(!matches(device), `${list} takes ${device}`);
    }
  }
  assert.equal(settings("10-knet.network").get("Unmanaged"), "yes");
  assert.equal(settings("10-knet.link").get("MACAddressPolicy"), "none");
  assert.equal(settings("10-knet-networkd.conf").get("ManageForeignRoutes"), "no");
  assert.equal(settings("10-knet-networkd.conf").get("ManageForeignNextHops"), "no");
});

Deno.test("knet.service needs no shell, and never gives up", () => {
  const unit = settings(UNIT);
  for (const [key, value] of unit) {
    if (key.startsWith("Exec")) assert.doesNotMatch(value, /\bsh\b|[|;&<>`]|\$\(/, key);
  }
  assert.equal(unit.get("Type"), "notify");
  assert.equal(unit.get("Restart"), "always");
  assert.equal(unit.get("StartLimitIntervalSec"), "0");
  assert.equal(unit.get("TimeoutStartSec"), "infinity");
  assert.ok(Number(unit.get("WatchdogSec")) > 0);
  assert.equal(unit.get("LoadCredential"), "knet.store");
});

Deno.test("knet.service passes systemd-analyze verify; its exposure is at most 3.0", async () => {
  const name = "knet.service passes systemd-analyze verify";
  const found = await exec("systemd-analyze --version", { check: false }).catch(() => undefined);
  if (found?.code !== 0) return skip(name, "needs systemd-analyze (package systemd)");
  const directory = await Deno.makeTempDir({ prefix: "knet-unit-" });
  try {
    // verify wants the program to be there; this one stands for it.
    const program = `${directory}/knet`;
    await Deno.writeTextFile(program, "#!/bin/true\n", { mode: 0o755 });
    const file = `${directory}/${UNIT}`;
    await Deno.writeTextFile(file, read(UNIT).replace("/usr/local/bin/knet", program));
    const verified = await exec(["systemd-analyze", "verify", "--man=no", file], { check: false });
    assert.equal(verified.code, 0, verified.stderr);
    assert.doesNotMatch(verified.stderr, new RegExp(UNIT), "a complaint");
    const analysed = await exec(
      ["systemd-analyze", "security", "--offline=true", "--no-pager", file],
      { check: false },
    );
    const exposure = /exposure level for \S+: ([\d.]+ \w+)/.exec(analysed.stdout)?.[1];
    if (exposure === undefined) {
      return skip("systemd-analyze security of knet.service", "needs systemd 250 or newer");
    }
    report(`systemd-analyze security of knet.service: exposure ${exposure}`);
    assert.ok(parseFloat(exposure) <= 3, `exposure ${exposure}`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
