import assert from "node:assert/strict";
import { bundle, rewriteUrls } from "./bundle.ts";

/** Contents of the files below a folder, by their paths. */
function filesOf(folder: string, below = ""): Map<string, string> {
  const files = new Map<string, string>();
  for (const { name, isDirectory } of Deno.readDirSync(folder + below)) {
    const path = `${below}/${name}`;
    if (isDirectory) { for (const file of filesOf(folder, path)) files.set(...file); }
    else files.set(path, Deno.readTextFileSync(folder + path));
  }
  return files;
}

async function makeBundle(): Promise<{ files: Map<string, string>; entries: string[] }> {
  const folder = await Deno.makeTempDir({ prefix: "knet-bundle-" });
  try {
    const { main, workers } = await bundle(folder);
    return { files: filesOf(folder), entries: [main, ...workers] };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is loaded at once with a file of the bundle, the file included. */
function loadedWith(files: ReadonlyMap<string, string>, path: string): Set<string> {
  const loaded = new Set([path]);
  for (const one of loaded) {
    for (const [, name] of files.get(one)!.matchAll(/^(?:import|\} from) ?"\.\/([^"]+)"/gm)) {
      loaded.add(`/bundle/${name}`);
    }
  }
  return loaded;
}

Deno.test("bundle() makes the same files twice, and no others than code and data", async () => {
  const [first, second] = [await makeBundle(), await makeBundle()];
  assert.deepEqual(first.files, second.files);
  const strays = [...first.files.keys()].filter((path) =>
    !/^\/bundle\/[\w-]+\.js$|^\/dist\/(LICENSES|NOTICE)$/.test(path)
  );
  assert.deepEqual(strays, []);
});

Deno.test("bundle() finds the Workers, keeps late imports late and names as they are", async () => {
  const { files, entries } = await makeBundle();
  for (const entry of entries) assert.ok(files.has(`/${entry}`), entry);
  const code = [...files.values()].join("\n");
  for (const worker of ["sqlite_worker", "udp_worker"]) {
    assert.ok(code.includes(`new URL("./${worker}.js", import.meta.url)`), worker);
  }
  assert.doesNotMatch(code, /new URL\([^)]*\.ts", import\.meta\.url/);
  assert.ok(code.includes("async function dispatch("), "names are those of the sources");
  // What answers --version is all that is loaded for it.
  assert.ok(loadedWith(files, "/bundle/main.js").size <= 4);
  for (const library of ["pg", "yaml", "logtape"]) {
    const chunks = [...files].filter(([, text]) =>
      text.includes(`/node_modules/${library}/`) ||
      text.includes(`/node_modules/@${library}/`)
    );
    assert.ok(chunks.length > 0, library);
    for (const [path] of chunks) assert.ok(!loadedWith(files, "/bundle/main.js").has(path), path);
  }
});

Deno.test("bundle() carries the licence of each package in it", async () => {
  const { files } = await makeBundle();
  const licences = files.get("/dist/LICENSES")!;
  assert.match(licences, /^@logtape\/logtape \d\S+, MIT\n=+\n\nMIT License/m);
  assert.match(licences, /^yaml \d\S+, ISC\n=+\n\nCopyright/m);
  assert.match(licences, /^pg \d\S+, MIT/m);
  assert.doesNotMatch(licences, /^(fast-check|esbuild|postgres) /m);
});

Deno.test("rewriteUrls() leads to the files of the bundle", () => {
  assert.equal(
    rewriteUrls("core/store/sqlite.ts", 'new URL("./sqlite_worker.ts", import.meta.url).href'),
    'new URL("./sqlite_worker.js", import.meta.url).href',
  );
  assert.equal(
    rewriteUrls("ffi/load.ts", "new URL(`../dist/lib/${name}`, import.meta.url)"),
    "new URL(`../dist/lib/${name}`, import.meta.url)",
  );
});

Deno.test("rewriteUrls() refuses what the program would not find", () => {
  assert.throws(
    () => rewriteUrls("core/x.ts", 'new URL("./x.json", import.meta.url)'),
    /does not carry "core\/x.json"/,
  );
  assert.throws(() => rewriteUrls("core/x.ts", "const here = import.meta.dirname;"), /own place/);
});
