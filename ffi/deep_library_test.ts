import assert from "node:assert/strict";
import { DQLITE_FILES, hasDqlite } from "./deep_library.ts";

const here = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);

/** Starts and stops a node, and tells which files of the library and what it needs are mapped. */
const PROBE = `
  import { DqliteNode, dqliteVersion } from ${here("./dqlite.ts")};
  import { openDqlite } from ${here("./deep_library.ts")};
  try {
    const directory = Deno.makeTempDirSync();
    const node = await DqliteNode.start({
      ...{ id: 1, address: "node/1", directory, latency: 20, door: directory + "/door" },
      mayTry: () => false,
    });
    await node.stop();
    Deno.removeSync(directory, { recursive: true });
    const maps = Deno.readTextFileSync("/proc/self/maps");
    const files = new Set(maps.match(/\\/\\S*lib(dqlite|raft|uv|sqlite3|lz4)\\.so\\S*/g));
    console.log(JSON.stringify({
      origin: openDqlite().origin, version: dqliteVersion(), files: [...files],
    }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name, message: error.message, remedy: error.remedy }));
  }
`;

interface Probe {
  readonly origin?: string;
  readonly version?: number;
  readonly files?: readonly string[];
  readonly error?: string;
  readonly message?: string;
  readonly remedy?: string;
}

async function probe(env: Record<string, string>): Promise<Probe> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check"]
      .concat(`data:application/typescript,${encodeURIComponent(PROBE)}`),
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

const carried = (() => {
  try {
    return Deno.statSync(new URL("../dist/lib/libdqlite.so.0", import.meta.url)).isFile;
  } catch {
    return false;
  }
})();

Deno.test({
  name: "openDqlite() takes the copies that the program carries, all of them, before the host's",
  ignore: !carried,
  async fn() {
    const { origin, version, files, ...rest } = await probe({});
    assert.equal(origin, "embedded", JSON.stringify(rest));
    assert.ok(version! >= 11000, `${version}`);
    assert.deepEqual(
      files!.map((file) => file.slice("/memfd:".length)).sort(),
      [...DQLITE_FILES].sort(),
    );
    assert.ok(files!.every((file) => file.startsWith("/memfd:")), files!.join());
  },
});

Deno.test({
  name: "openDqlite() takes the host's where the program is told so",
  ignore: !hasDqlite(),
  async fn() {
    const { origin, files } = await probe({ KNET_LIBDQLITE: "system" });
    assert.equal(origin, "system");
    assert.ok(!files!.some((file) => file.startsWith("/memfd:")), files!.join());
  },
});

Deno.test({
  name: "openDqlite() says what to install where the program carries none",
  ignore: carried,
  async fn() {
    const { error, remedy } = await probe({ KNET_LIBDQLITE: "embedded" });
    assert.equal(error, "MissingLibraryError");
    assert.match(remedy!, /libdqlite0/);
  },
});
