/**
 * Bundles the program before it is compiled: esbuild turns cli/, core/, ffi/ and the npm packages that
 * they use into a folder of plain JavaScript, one file for the program and for each Worker and the
 * chunks that they share. Loading a module costs a compiled program more than running it does, and
 * packages bring along ten times what is used of them.
 *
 * What is imported late stays a chunk of its own. Nothing is minified: names in stack traces are those
 * of the sources. Two bundles of the same sources are the same, byte for byte, wherever they are made.
 *
 * @module
 */
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import * as esbuild from "esbuild";
import { collectLicences } from "./licences.ts";
import { pruneImports, pruneLock } from "./prune.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Sources of what is started by itself, and the names that they have in the bundle. */
const ENTRIES: Readonly<Record<string, string>> = {
  "cli/main.ts": "main.js",
  "core/store/sqlite_worker.ts": "sqlite_worker.js",
  "core/overlay/udp/worker.ts": "udp_worker.js",
};

/** Files and folders, from the root of the tree, that the program reads by URL; see compile.ts. */
export const DATA: readonly string[] = ["dist/lib", "dist/NOTICE", "dist/LICENSES"];

/** Folders of the sources. */
const FOLDERS = ["cli", "core", "ffi"];

/** A URL beside the source that names it; the file's name may be a variable. */
const OWN_URL = /new URL\(\s*(["`])(\.[^"`$]*)((?:\$\{\w+\})?["`]),\s*import\.meta\.url\s*,?\s*\)/g;

/** The folder of the bundle. One level below the root, as {@linkcode rewriteUrls} takes for granted. */
const FOLDER = "bundle";

/** What a bundle consists of, paths from the folder that it was made in. */
export interface Bundle {
  /** The program. */
  readonly main: string;
  /** The files that are started as Workers. */
  readonly workers: readonly string[];
}

/**
 * Makes the bundle in a folder: `bundle/` with the code, `dist/` with the data that the program reads,
 * dist/lib apart.
 *
 * @param folder an empty folder; packages are unpacked in it and taken away again.
 * @throws {Error} if something cannot be resolved, a package has no licence, or a source names a file by
 * URL that the program would not carry.
 */
export async function bundle(folder: string): Promise<Bundle> {
  for (const name of FOLDERS) copySources(name, folder);
  installPackages(folder);
  try {
    // esbuild writes paths from here into the bundle, which is why the sources are copied beside the packages.
    const { outputFiles, metafile } = await esbuild.build({
      absWorkingDir: folder,
      entryPoints: Object.entries(ENTRIES).map(([source, name]) => ({
        in: source,
        out: name.replace(/\.js$/, ""),
      })),
      outdir: FOLDER,
      bundle: true,
      splitting: true,
      format: "esm",
      target: "esnext",
      charset: "utf8",
      // "node" would prefer CommonJS where a package has both, which can be neither split nor shaken.
      platform: "neutral",
      mainFields: ["module", "main"],
      // esbuild adds "import" or "require" by itself, by how a package is asked for: one asked for by require() is no ES module.
      conditions: ["deno", "module"],
      plugins: [builtins(), urls(folder)],
      metafile: true,
      write: false,
      logLevel: "silent",
    });
    Deno.mkdirSync(`${folder}/${FOLDER}`);
    for (const { path, text } of outputFiles) Deno.writeTextFileSync(path, withRequire(text));
    Deno.mkdirSync(`${folder}/dist`);
    const licences = collectLicences(folder, Object.keys(metafile.inputs), `${ROOT}LICENSE`);
    Deno.writeTextFileSync(`${folder}/dist/LICENSES`, licences);
    Deno.copyFileSync(`${ROOT}dist/NOTICE`, `${folder}/dist/NOTICE`);
  } finally {
    await esbuild.stop();
    for (const name of [...FOLDERS, "node_modules", "deno.json", "deno.lock"]) {
      Deno.removeSync(`${folder}/${name}`, { recursive: true });
    }
  }
  const [main, ...workers] = Object.values(ENTRIES).map((name) => `${FOLDER}/${name}`);
  return { main: main!, workers };
}

function copySources(path: string, folder: string): void {
  Deno.mkdirSync(`${folder}/${path}`);
  for (const { name, isDirectory } of Deno.readDirSync(ROOT + path)) {
    if (isDirectory) copySources(`${path}/${name}`, folder);
    else if (!name.endsWith("_test.ts")) {
      Deno.copyFileSync(`${ROOT}${path}/${name}`, `${folder}/${path}/${name}`);
    }
  }
}

/** Lays the packages that the lock names out as esbuild knows them: in a node_modules folder. */
function installPackages(folder: string): void {
  Deno.writeTextFileSync(
    `${folder}/deno.json`,
    pruneImports(Deno.readTextFileSync(`${ROOT}deno.json`)),
  );
  Deno.writeTextFileSync(
    `${folder}/deno.lock`,
    pruneLock(Deno.readTextFileSync(`${ROOT}deno.lock`)),
  );
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["install", "--quiet", "--node-modules-dir=auto", "--frozen"],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  if (success) return;
  throw new Error(`Cannot install the packages: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Leaves Node's own modules to the runtime, which knows them by their full names only. */
function builtins(): esbuild.Plugin {
  const names = new Set(builtinModules);
  return {
    name: "builtins",
    setup(build) {
      build.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path }) => {
        const name = path.replace(/^node:/, "");
        return path !== name || names.has(name)
          ? { path: `node:${name}`, external: true, sideEffects: false }
          : undefined;
      });
    },
  };
}

/** Points what the sources name by URL at its place in the bundle. */
function urls(folder: string): esbuild.Plugin {
  return {
    name: "urls",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const source = relative(folder, path);
        if (source.startsWith("node_modules/")) return undefined;
        return { contents: rewriteUrls(source, Deno.readTextFileSync(path)), loader: "ts" };
      });
    },
  };
}

/**
 * Rewrites `new URL("…", import.meta.url)` for a file that moves into the bundle.
 *
 * @param path of the source, from the root of the tree.
 * @throws {Error} if it leads to something that the program does not carry, or if the file uses its own
 * place in another way.
 */
export function rewriteUrls(path: string, text: string): string {
  const rest = text.replace(OWN_URL, "").replace(/^\s*(\*|\/\/).*$/gm, "");
  if (/import\.meta\.(url|dirname|filename|resolve)/.test(rest)) {
    throw new Error(`Cannot bundle ${path}: it uses its own place for more than a fixed URL`);
  }
  return text.replace(OWN_URL, (_, quote: string, target: string, end: string) => {
    const file = join(dirname(path), target);
    const entry = ENTRIES[file];
    if (entry === undefined && !DATA.some((data) => `${file}/`.startsWith(`${data}/`))) {
      throw new Error(`Cannot bundle ${path}: the program does not carry "${file}"`);
    }
    return `new URL(${quote}${
      entry === undefined ? `../${file}` : `./${entry}`
    }${end}, import.meta.url)`;
  });
}

/** CommonJS packages ask for Node's modules by `require`, which modules do not have. */
function withRequire(text: string): string {
  return /^var __require = /m.test(text)
    ? `const require = (name) => process.getBuiltinModule(name);\n${text}`
    : text;
}
