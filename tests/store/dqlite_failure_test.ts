// Replicas in processes of their own: killed, frozen, cut off, without a majority, without their data. No write that was acknowledged is
// lost, and writes go on within five seconds of a majority being there.
import assert from "node:assert/strict";
import { StoreAwayError } from "../../core/base/error.ts";
import { sleep } from "../../core/base/clock.ts";
import type { Engine } from "../../core/store/engine.ts";
import { HostProcesses } from "../support/dqlite_processes.ts";

/** Rows that were acknowledged, and a look whether they are there. */
class Rows {
  readonly engine: Engine;
  #next = 0;
  #kept: number[] = [];

  private constructor(engine: Engine) {
    this.engine = engine;
  }

  static async begin(engine: Engine): Promise<Rows> {
    await engine.write((query) => query("create table if not exists trial (x integer)"));
    const made = new Rows(engine);
    await made.write(3);
    return made;
  }

  /** Writes some; each within the deadline of a call, which is five seconds. */
  async write(count = 1): Promise<void> {
    for (let n = 0; n < count; n++) {
      const value = this.#next++;
      await this.engine.write((query) => query("insert into trial values ($1)", [value]));
      this.#kept.push(value);
    }
  }

  async check(by = this.engine): Promise<void> {
    const rows = await by.read((query) => query("select x from trial order by x"));
    const found = new Set(rows.map(([x]) => x));
    assert.deepEqual(this.#kept.filter((x) => !found.has(x)), [], "acknowledged and lost");
    assert.equal(found.size, rows.length, "written twice");
  }
}

const away = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StoreAwayError, `${error}`);
  assert.match(error.message, pattern);
  return true;
};

Deno.test("dqliteEngine() goes on without a killed leader, says that a majority is missing, and has all when they are back", async () => {
  await using hosts = await HostProcesses.start(3);
  const rows = await Rows.begin(hosts.engine("b"));
  await rows.write(20);
  await hosts.kill("a");
  await rows.write();
  await rows.check();
  await hosts.kill("c");
  const impatient = hosts.engine("b", 1500);
  await assert.rejects(
    impatient.write((query) => query("insert into trial values (-1)")),
    // Whether a change was taken that was on its way just then is another matter.
    away(/no majority|Cannot tell/),
  );
  await assert.rejects(
    rows.check(impatient),
    away(
      /no majority: of the 3 hosts that vote, 2 are needed and 1 answer \(b; missing: a, c\)/,
    ),
  );
  // A majority, and then all, in another order.
  await hosts.host("c");
  await rows.write();
  await hosts.host("a");
  await rows.write();
  await rows.check(hosts.engine("a"));
});

Deno.test("dqliteEngine() goes on while the host that led is frozen, and with it when it thaws", async () => {
  await using hosts = await HostProcesses.start(3);
  const rows = await Rows.begin(hosts.engine("b"));
  const frozen = await hosts.leader("b");
  assert.equal(frozen, "a");
  hosts.running.get("a")!.freeze();
  await rows.write(3);
  await sleep(Number(Deno.env.get("KNET_FREEZE") ?? 2000));
  await rows.write(3);
  hosts.running.get("a")!.thaw();
  await rows.write(3);
  await rows.check();
  const thawed = hosts.engine("a");
  await thawed.write((query) => query("insert into trial values (-1)"));
  await rows.check(thawed);
});

Deno.test("dqliteEngine() goes on while the host that led is cut off without a word, and it follows when it is back", async () => {
  await using hosts = await HostProcesses.start(3);
  const rows = await Rows.begin(hosts.engine("b"));
  const cut = hosts.engine("a", 3000);
  hosts.cut("a", true);
  await rows.write(3);
  await assert.rejects(
    cut.write((query) => query("insert into trial values (-1)")),
    away(/no majority.*missing: b, c/),
  );
  hosts.cut("a", false);
  await rows.check(cut);
  await rows.write(3);
  await rows.check(cut);
});

Deno.test("Replica.start() makes a host whose data was deleted a new member, and the two others went on meanwhile", async () => {
  await using hosts = await HostProcesses.start(3);
  const rows = await Rows.begin(hosts.engine("a"));
  const before = hosts.members("a").find(({ address }) => address.startsWith("c/"))!;
  await hosts.kill("c");
  await rows.write(5);
  await Deno.remove(`${hosts.folder}/c`, { recursive: true });
  await hosts.host("c");
  await hosts.until(
    () =>
      hosts.members("a").some(({ id, address, role }) =>
        address.startsWith("c/") && id !== before.id && role === "voter"
      ),
    "c votes",
  );
  assert.equal(hosts.members("a").length, 3);
  await hosts.kill("b");
  await rows.write();
  await rows.check(hosts.engine("c"));
});

Deno.test("dqliteEngine() of two hosts says which one is missing, and writes when it is back", async () => {
  await using hosts = await HostProcesses.start(2);
  const rows = await Rows.begin(hosts.engine("b", 2000));
  await hosts.kill("a");
  await assert.rejects(
    rows.engine.read((query) => query("select 1")),
    away(
      /no majority: of the 2 hosts that vote, 2 are needed and 1 answer \(b; missing: a\)/,
    ),
  );
  await hosts.host("a");
  await rows.write();
  await rows.check(hosts.engine("a"));
});

Deno.test("Replica.start() finds the others when all were killed and come in any order, the last one first", async () => {
  await using hosts = await HostProcesses.start(3);
  const rows = await Rows.begin(hosts.engine("a"));
  for (const name of ["b", "a", "c"]) await hosts.kill(name);
  await hosts.host("c");
  await hosts.host("b");
  await rows.check(hosts.engine("c"));
  await hosts.host("a");
  await rows.write();
  await rows.check(hosts.engine("b"));
});

/** Mounts a small file system; what is returned fills it or makes room, and unmounts it. */
async function smallDisk(path: string): Promise<AsyncDisposable & { fill(full: boolean): void }> {
  const run = async (program: string, ...args: string[]) => {
    const { success, stderr } = await new Deno.Command(program, { args }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  Deno.mkdirSync(path);
  await run("mount", "-t", "tmpfs", "-o", "size=96m", "none", path);
  return {
    fill(full) {
      if (!full) return Deno.removeSync(`${path}/fill`);
      using file = Deno.openSync(`${path}/fill`, { write: true, create: true });
      try {
        for (;;) file.writeSync(new Uint8Array(1 << 20));
      } catch {
        // There is no room left.
      }
    },
    [Symbol.asyncDispose]: () => run("umount", "-l", path),
  };
}

Deno.test("Replica stands still while its disk is full, and says so, and comes back when there is room", async () => {
  await using hosts = await HostProcesses.start(2);
  await using disk = await smallDisk(`${hosts.folder}/c`);
  await hosts.host("c");
  await hosts.untilVoters("b", 3);
  const rows = await Rows.begin(hosts.engine("b"));
  disk.fill(true);
  await hosts.until(
    () => /file system has \d+ MiB left, and 24 are needed/.test(hosts.running.get("c")!.said()),
    "it says so",
  );
  await rows.write(20);
  disk.fill(false);
  await hosts.until(async () => await hosts.answers("c"), "it is back");
  // Now it is one of the majority.
  await hosts.kill("a");
  await rows.write();
  await rows.check(hosts.engine("c"));
  await hosts.kill("c");
});
