import assert from "node:assert/strict";
import { launcher, launcherState } from "./launcher.ts";

/** Places a script in a folder of its own. */
function placed(words: readonly string[], stateDir: (folder: string) => string) {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/plugin`;
  Deno.writeTextFileSync(path, launcher("# it", words, stateDir(folder), "cni"), { mode: 0o755 });
  return {
    folder,
    path,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

Deno.test("launcher() hands on input, arguments and status, with a folder for its places and without", () => {
  const words = ["sh", "-c", `printf '%s|' "$@"; cat; exit 3`, "it's"];
  for (const stateDir of [(folder: string) => folder, () => "/nonexistent/it's"]) {
    using script = placed(words, stateDir);
    const line = `printf input | "$0" one "two words"`;
    const { code, stdout, stderr } = new Deno.Command("sh", { args: ["-c", line, script.path] })
      .outputSync();
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.equal(new TextDecoder().decode(stdout), "one|two words|input");
    assert.equal(code, 3);
  }
});

Deno.test("launcher() lets eight run at a time, and all of them in the end", async () => {
  using script = placed(
    ["sh", "-c", `echo + >> "$0/log"; sleep 0.05; echo - >> "$0/log"`],
    (folder) => folder,
  );
  const args = [script.folder];
  const runs = Array.from({ length: 24 }, () => new Deno.Command(script.path, { args }).output());
  const codes = (await Promise.all(runs)).map(({ code }) => code);
  // The folder is the first argument, which sh takes for its name.
  assert.deepEqual(codes, codes.map(() => 0));
  const log = Deno.readTextFileSync(`${script.folder}/log`).trim().split("\n");
  assert.equal(log.length, 48);
  let running = 0, most = 0;
  for (const line of log) {
    running += line === "+" ? 1 : -1;
    most = Math.max(most, running);
  }
  const hasFlock =
    new Deno.Command("sh", { args: ["-c", "command -v flock"] }).outputSync().success;
  if (!hasFlock) return;
  assert.ok(most <= 8, `${most} at once`);
  // Nobody else may hold a place.
  const places = [...Deno.readDirSync(script.folder)].filter(({ name }) => name.endsWith(".lock"));
  assert.ok(places.length > 0 && places.length <= 8);
  for (const { name } of places) {
    assert.equal(Deno.statSync(`${script.folder}/${name}`).mode! & 0o777, 0o600);
  }
});

Deno.test("launcherState() reads which agent a script is for", () => {
  for (const folder of ["/run/knet", "/run/it's", "/run/two words"]) {
    assert.equal(launcherState(launcher("# it", ["knet"], folder, "netavark")), folder);
  }
  assert.equal(launcherState("#!/bin/sh\nexec mine\n"), undefined);
});
