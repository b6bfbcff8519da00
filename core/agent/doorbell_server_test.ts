/**
 * What the scripts of plugins find in every shell, and what the agent bears.
 *
 * Longer than others: one stage for all of it, and one case for each way to be in the way.
 *
 * @module
 */
import assert from "node:assert/strict";
import { openNewFifo } from "../../ffi/fifo.ts";
import type { Errand } from "../container/doorbell.ts";
import { launcher, type PluginKind } from "../container/launcher.ts";
import { serveDoorbell } from "./doorbell_server.ts";

/** Those that this host has; `sh` is dash on Debian. */
const SHELLS = [["sh"], ["busybox", "sh"], ["bash", "--posix"]].filter(([word]) =>
  new Deno.Command("sh", { args: ["-c", `command -v ${word}`] }).outputSync().success
);
/** What stands for the program: it says how it was called. */
const PROGRAM = ["sh", "-c", `printf 'program %s|' "$@"; cat; exit 7`, "it"];
const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "one",
  CNI_NETNS: "/run/netns/one",
  CNI_IFNAME: "eth0",
};

class Stage {
  readonly stateDir = Deno.makeTempDirSync();
  readonly door = `${this.stateDir}/doorbell`;
  readonly asked: Errand[] = [];
  reply: (errand: Errand, wanted: () => boolean) => Promise<{ status: number; body: string }> =
    () => Promise.resolve({ status: 200, body: '{"ips": []}' });

  serve(times: { tidy?: number; patience?: number } = {}) {
    return serveDoorbell(this.stateDir, (errand, wanted) => {
      this.asked.push(errand);
      return this.reply(errand, wanted);
    }, times);
  }

  config(more: Record<string, unknown> = {}) {
    return JSON.stringify({ name: "knet", stateDir: this.stateDir, ...more });
  }

  start(
    input: string,
    { kind = "cni", shell = ["sh"], args = [], env = ENV }: {
      kind?: PluginKind;
      shell?: readonly string[];
      args?: readonly string[];
      env?: Record<string, string>;
    } = {},
  ) {
    const path = `${this.stateDir}/${kind}`;
    Deno.writeTextFileSync(path, launcher("# it", PROGRAM, this.stateDir, kind), { mode: 0o755 });
    const [word, ...words] = [...shell, path, ...args];
    const child = new Deno.Command(word!, {
      args: words,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const done = (async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input)).catch(() => {});
      await writer.close().catch(() => {});
      const { code, stdout, stderr } = await child.output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.equal(text(stderr), "");
      return { code, stdout: text(stdout) };
    })();
    return { child, done };
  }

  run(input: string, options: Parameters<Stage["start"]>[1] = {}) {
    return this.start(input, options).done;
  }

  names() {
    return [...Deno.readDirSync(this.door)].map(({ name }) => name);
  }

  [Symbol.dispose]() {
    Deno.removeSync(this.stateDir, { recursive: true });
  }
}

async function until(what: string, holds: () => boolean) {
  for (let n = 0; !holds(); n++) {
    assert.ok(n < 1000, what);
    await new Promise((done) => setTimeout(done, 10));
  }
}

for (const shell of SHELLS) {
  Deno.test(`serveDoorbell() answers the script in ${shell[0]}, whatever bytes it is told`, async () => {
    using stage = new Stage();
    await using _server = stage.serve();
    const letters = String.fromCodePoint(
      ...Array.from({ length: 0x780 }, (_, n) => n + 0x80),
      0x1f600,
    );
    const odd = `\\ $HOME \`id\` 'x' %s \\n "${letters}`;
    const config = `{\n\t"x": ${JSON.stringify(odd)},\n  "stateDir": "${stage.stateDir}"}\n\n`;
    const document = JSON.stringify({ msg: odd, more: "y".repeat(100_000) });
    for (const [status, code] of [[200, 0], [422, 1]] as const) {
      stage.reply = () => Promise.resolve({ status, body: document });
      const args = 'a=$(id);b="c d" *';
      const env = { ...ENV, CNI_ARGS: args };
      assert.deepEqual(await stage.run(config, { shell, env }), { code, stdout: `${document}\n` });
      const { path, body } = stage.asked.pop()!;
      assert.equal(path, "/cni");
      assert.deepEqual(JSON.parse(body), { environment: env, config });
    }
    stage.reply = () => Promise.resolve({ status: 200, body: "" });
    const gone = { shell, kind: "netavark", args: ["teardown", "/run/netns/o n"] } as const;
    assert.deepEqual(await stage.run("{}", gone), { code: 0, stdout: "" });
    assert.deepEqual(JSON.parse(stage.asked.pop()!.body), {
      command: "teardown",
      netns: "/run/netns/o n",
      input: "{}",
    });
  });

  Deno.test(`serveDoorbell() leaves to the program, in ${shell[0]}, what is not the agent's`, async () => {
    using stage = new Stage();
    const mine = stage.config();
    const program = (input: string) => ({ code: 7, stdout: `program |${input}` });
    assert.deepEqual(await stage.run(mine, { shell }), program(mine), "no agent ever");
    {
      await using _server = stage.serve();
      const env = { ...ENV, CNI_COMMAND: "VERSION" };
      assert.deepEqual(await stage.run("{}", { shell, env }), program("{}"));
      const info = { shell, kind: "netavark", args: ["info"] } as const;
      assert.deepEqual(await stage.run("", info), { code: 7, stdout: "program info|" });
      const lines = { ...ENV, CNI_ARGS: "A=b\nC=d" };
      assert.deepEqual(await stage.run(mine, { shell, env: lines }), program(mine));
      assert.deepEqual(stage.asked, []);
      const other = '{"stateDir": "/elsewhere"}';
      assert.deepEqual(await stage.run(other, { shell }), program(`${other}\n`));
      stage.reply = () => Promise.resolve({ status: 404, body: "" });
      assert.deepEqual(await stage.run(mine, { shell }), program(`${mine}\n`));
      stage.reply = () => Promise.reject(new Error("no"));
      assert.deepEqual(await stage.run(mine, { shell }), program(`${mine}\n`));
    }
    assert.deepEqual(await stage.run(mine, { shell }), program(mine), "no agent any more");
    // What an agent leaves that was killed: pipes that nobody reads.
    Deno.mkdirSync(stage.door);
    for (const name of ["bell", "a-1.wait", "a-2.wait"]) {
      openNewFifo(`${stage.door}/${name}`, 0o600)[Symbol.dispose]();
    }
    assert.deepEqual(await stage.run(mine, { shell }), program(mine), "killed");
    // The same while the agent is still seen to be there.
    Deno.removeSync(`${stage.door}/bell`);
    {
      using bell = openNewFifo(`${stage.door}/bell`, 0o600);
      Deno.writeTextFileSync(`${stage.door}/agent`, `${Deno.pid} ${bell.fd}\n`);
      for (let n = 0; n < 3; n++) {
        assert.deepEqual(await stage.run(mine, { shell }), program(`${mine}\n`), "dying");
      }
    }
    await using _next = stage.serve();
    stage.reply = () => Promise.resolve({ status: 200, body: "{}" });
    assert.deepEqual(await stage.run(mine, { shell }), { code: 0, stdout: "{}\n" });
  });
}

const ELSEWHERE =
  "serveDoorbell() leaves to the program who has other processes or mounts than the agent";
Deno.test(ELSEWHERE, { ignore: Deno.uid() !== 0 }, async () => {
  using stage = new Stage();
  await using _server = stage.serve();
  const mine = stage.config();
  const aside = ["unshare", "--mount", "--propagation", "slave"];
  const words = [[...aside, "sh"], ["unshare", "--pid", "--fork", "--mount-proc", "sh"]];
  for (const shell of words) {
    assert.deepEqual(await stage.run(mine, { shell }), { code: 7, stdout: `program |${mine}` });
  }
  assert.deepEqual(stage.asked, []);
});

Deno.test("serveDoorbell() answers whoever waits while it ends, and sends to the program who comes too late", async () => {
  using stage = new Stage();
  let answer = (_: { status: number; body: string }) => {};
  stage.reply = () => new Promise((done) => answer = done);
  const server = stage.serve();
  const waits = stage.start(stage.config());
  await until("it has asked", () => stage.asked.length === 1);
  await server[Symbol.asyncDispose]();
  assert.throws(() => Deno.statSync(stage.door), Deno.errors.NotFound);
  answer({ status: 200, body: "{}" });
  assert.deepEqual(await waits.done, { code: 0, stdout: "{}\n" });
});

Deno.test("serveDoorbell() answers a hundred at once, has slots again, and leaves nothing open", async () => {
  using stage = new Stage();
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = open();
  {
    await using _server = stage.serve();
    const ready = open();
    const runs = Array.from({ length: 100 }, () => stage.run(stage.config()));
    const codes = (await Promise.all(runs)).map(({ code }) => code);
    // More than there were slots for may have started the program.
    assert.equal(codes.filter((code) => code !== 0 && code !== 7).length, 0, codes.join());
    assert.ok(codes.filter((code) => code === 0).length >= 64, codes.join());
    const slots = () => stage.names().filter((name) => name.endsWith(".wait"));
    await until("as many slots as before", () => slots().length === 64);
    await until("as many descriptors as before", () => open() <= ready);
    assert.equal(Deno.statSync(stage.door).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(`${stage.door}/bell`).mode! & 0o777, 0o600);
  }
  await until("all descriptors are closed", () => open() <= before);
});

Deno.test("serveDoorbell() outlives killed scripts, half-written questions, links, pipes and noise", async () => {
  using stage = new Stage();
  const secret = `${stage.stateDir}/secret`;
  Deno.writeTextFileSync(secret, "cni\n\n\n\n\n\n{}\n.\n");
  // What an agent before has left, whatever it is.
  Deno.mkdirSync(`${stage.door}/bell/deep`, { recursive: true });
  Deno.symlinkSync(stage.stateDir, `${stage.door}/x.ask`);
  await using _server = stage.serve({ tidy: 50 });
  const ring = (text: string) =>
    Deno.writeTextFileSync(`${stage.door}/bell`, text, { create: false });
  const slots = () =>
    stage.names().filter((name) => name.endsWith(".wait")).map((name) => name.slice(0, -5));
  const [half, link, pipe, folder, none, huge, claimed] = slots().sort();
  const path = (slot?: string) => `${stage.door}/${slot}.ask`;
  Deno.writeTextFileSync(path(half), "cni\nADD\n");
  Deno.symlinkSync(secret, path(link));
  openNewFifo(path(pipe), 0o600)[Symbol.dispose]();
  Deno.mkdirSync(path(folder));
  Deno.writeTextFileSync(path(huge), "cni\n");
  Deno.truncateSync(path(huge), 1 << 30);
  ring([half, link, pipe, folder, none, huge, "../secret", "", "x".repeat(3000)].join("\n"));
  ring("y".repeat(4000));
  ring("\n");
  await until("its slots are gone", () => !slots().includes(none!) && !slots().includes(huge!));
  assert.deepEqual(stage.asked, []);
  assert.equal(Deno.readTextFileSync(secret), "cni\n\n\n\n\n\n{}\n.\n");
  // A script that was killed after it had taken a slot; and what has no business here.
  Deno.writeTextFileSync(path(claimed), "");
  Deno.writeTextFileSync(`${stage.door}/stranger`, "");
  Deno.mkdirSync(`${stage.door}/strange/folder`, { recursive: true });
  await until("they are tidied away", () => {
    const names = stage.names();
    return ![`${claimed}.wait`, `${claimed}.ask`, "stranger", "strange"].some((name) =>
      names.includes(name)
    );
  });
  assert.equal(slots().length, 64);
  assert.equal(stage.names().length, 66);
  // A script that is killed while it waits.
  let answer = (_: { status: number; body: string }) => {};
  stage.reply = () => new Promise((done) => answer = done);
  const killed = stage.start(stage.config());
  await until("it has asked", () => stage.asked.length === 1);
  killed.child.kill("SIGKILL");
  await killed.done;
  answer({ status: 200, body: "z".repeat(1_000_000) });
  stage.reply = () => Promise.resolve({ status: 200, body: "{}" });
  assert.deepEqual(await stage.run(stage.config()), { code: 0, stdout: "{}\n" });
});

Deno.test("serveDoorbell() lets go who has waited too long, and says so to whom it asks", async () => {
  using stage = new Stage();
  await using _server = stage.serve({ patience: 100 });
  let answer = (_: { status: number; body: string }) => {};
  let isWanted = () => false;
  stage.reply = (_, wanted) => {
    isWanted = wanted;
    return new Promise((done) => answer = done);
  };
  const config = stage.config();
  const waits = stage.start(config);
  await until("it has asked", () => stage.asked.length === 1);
  assert.deepEqual(await waits.done, { code: 7, stdout: `program |${config}\n` });
  assert.equal(isWanted(), false);
  answer({ status: 200, body: "{}" });
  stage.reply = (_, wanted) => Promise.resolve({ status: 200, body: `${wanted()}` });
  assert.deepEqual(await stage.run(config), { code: 0, stdout: "true\n" });
});

Deno.test("serveDoorbell() begins and ends while scripts come and go", async () => {
  using stage = new Stage();
  let going = true;
  // What scripts do to the folder, again and again, whichever agent's it is.
  const noise = new Deno.Command("sh", {
    args: [
      "-c",
      `while [ -e "$0/go" ]; do for n in 1 2 3 4 5 6 7 8; do
{ true > "$0/doorbell/$n.ask"; echo x 1<> "$0/doorbell/bell"; } 2> /dev/null; done; done`,
      stage.stateDir,
    ],
  });
  Deno.writeTextFileSync(`${stage.stateDir}/go`, "");
  const child = noise.spawn();
  const runs = (async () => {
    while (going) assert.ok([0, 7].includes((await stage.run(stage.config())).code));
  })();
  for (let n = 0; n < 30; n++) {
    const server = stage.serve();
    await new Promise((done) => setTimeout(done, 5));
    await server[Symbol.asyncDispose]();
  }
  going = false;
  await runs;
  Deno.removeSync(`${stage.stateDir}/go`);
  await child.status;
  await using _server = stage.serve();
  assert.equal((await stage.run(stage.config())).code, 0);
});

Deno.test("serveDoorbell() takes no more than a question over the socket may be", async () => {
  using stage = new Stage();
  await using _server = stage.serve();
  const input = stage.config({ x: "y".repeat(1_100_000) });
  assert.deepEqual(await stage.run(input), { code: 7, stdout: `program |${input}\n` });
  assert.deepEqual(stage.asked, []);
});

Deno.test("serveDoorbell() does without where there is no folder for it", async () => {
  await using _server = serveDoorbell("/proc/nowhere", () => Promise.reject(new Error("no")));
});
