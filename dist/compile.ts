/**
 * Makes `dist/knet` for this machine: `deno task compile`; `deno task compile --target arm64` makes
 * `dist/knet-arm64` for another. The program is bundled first (bundle.ts) and
 * compiled from the bundle alone, in a folder where nothing else is that could get into it. Two binaries
 * of one commit are the same, byte for byte.
 *
 * The runtime that goes under the program is the one that `DENORT_BIN` names, or else comes from an npm
 * package (denort.ts); where neither is to be had, this Deno downloads its own. Where it cannot, arm64
 * gets a folder instead of a file (runtime_folder.ts).
 *
 * @module
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Bundle, bundle, DATA } from "./bundle.ts";
import { DENORT_VERSION, findDenort, type Runtime } from "./denort.ts";
import {
  type Architecture,
  architecture,
  ARCHITECTURES,
  ownArchitecture,
  programPath,
} from "./architectures.ts";
import { copyLibraries } from "./libraries.ts";
import { librariesIn, writeParts } from "./parts.ts";
import { layOut } from "./runtime_folder.ts";
import { setDates, sourceDate } from "./source_date.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * The narrowest permissions that work. Not granted: running programs but systemctl, importing code, and the files
 * under /proc, /sys and /dev (which would take everything).
 *
 * Foreign functions cannot be granted for single libraries: Deno takes a bare name for a file in the
 * working directory then, and loads it from there.
 */
const PERMISSIONS = [
  "--allow-ffi",
  // KNET_*, PG* and NOTIFY_SOCKET; npm packages list them all.
  "--allow-env",
  // The database, the state and the data directory, wherever the administrator puts them.
  "--allow-read",
  "--allow-write",
  // Postgres anywhere, the agent's own socket.
  "--allow-net",
  // The host's name is the default of --node; the Postgres client asks for the user's.
  "--allow-sys=hostname,uid,osRelease",
  // knet up starts the service.
  "--allow-run=/usr/bin/systemctl",
  "--no-prompt",
];

/**
 * For the agent, which works for a second and then waits for weeks: a small nursery, no memory for V8's
 * helper threads, and a collector that the program can call when the work is done. Together they keep
 * 60 MiB out of an agent with 5,000 peers.
 *
 * Without helper threads, V8 13.7 never replaces WebAssembly's first, quickly made code by the fast one:
 * the sum in udp's packet loop takes 5.9 µs for 64 KiB instead of 2.3. So it makes the fast one at once
 * (`--no-liftoff`); there is no other WebAssembly.
 */
const V8_FLAGS = ["--max-semi-space-size=1", "--single-threaded", "--no-liftoff", "--expose-gc"];

/** A compiler. */
interface Compiler {
  readonly command: string[];
  /** What it needs of the environment. */
  readonly env: Record<string, string>;
  /** What it puts under a program; the hash where it is known. */
  readonly runtime: { readonly version: string; readonly sha256?: string };
}

/** The compiler of programs for an architecture. */
export function compiler(arch = ownArchitecture()): Compiler {
  // The compiler resolves imports by recursion, deeper than the default stack of its threads.
  const stack = { RUST_MIN_STACK: String(64 << 20) };
  const named = Deno.env.get("DENORT_BIN");
  const found = named || arch !== ownArchitecture() ? undefined : fetchRuntime();
  const path = named || found?.path;
  if (path === undefined) {
    return { command: [Deno.execPath()], env: stack, runtime: { version: Deno.version.deno } };
  }
  const command = Deno.version.deno === DENORT_VERSION
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${DENORT_VERSION}`];
  return {
    command,
    env: { ...stack, DENORT_BIN: path },
    runtime: found ?? { version: DENORT_VERSION },
  };
}

function fetchRuntime(): Runtime | undefined {
  try {
    return findDenort();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}; trying to download it`);
    return undefined;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Compiles the program.
 *
 * @param output where the binary goes, from the root of the tree.
 * @returns the exit status of the compiler.
 * @throws {Error} if the program cannot be bundled, or if something else got into the binary.
 */
export async function compile(output: string, arch = ownArchitecture()): Promise<number> {
  const target = resolve(ROOT, output);
  const own = arch === ownArchitecture();
  if (own) copyLibraries();
  const folder = Deno.makeTempDirSync({ prefix: "knet-compile-" });
  try {
    const parts = await bundle(folder);
    // Of another machine there are none here: its distribution has them.
    if (own) copyFolder(`${ROOT}dist/lib`, `${folder}/dist/lib`);
    else Deno.mkdirSync(`${folder}/dist/lib`);
    // The compiler writes each file's date into the binary.
    setDates(folder, sourceDate());
    if (isFolder(target)) Deno.removeSync(target, { recursive: true });
    let { command: [program, ...first], env, runtime } = compiler(arch);
    const { code, stdout, stderr } = new Deno.Command(program!, {
      args: [...first, ...compileArguments(parts, target, arch)],
      env: { ...env, NO_COLOR: "1" },
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).outputSync();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    console.error(said.trimEnd());
    if (code === 0) checkEmbedded(said);
    else {
      const flags = [...PERMISSIONS, `--v8-flags=${V8_FLAGS.join(",")}`];
      const whole = layOut(arch, folder, parts.main, flags, target);
      if (whole === undefined) return code;
      runtime = whole;
      console.error(`Not compiled: ${output} is a folder, with Deno ${runtime.version} from npm`);
    }
    writeParts(target, {
      runtime: { version: runtime.version, ...runtime.sha256 && { sha256: runtime.sha256 } },
      libraries: librariesIn(`${folder}/dist/lib`),
      licences: Deno.readTextFileSync(`${folder}/dist/LICENSES`),
    });
    return 0;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function compileArguments({ main, workers }: Bundle, output: string, arch: Architecture): string[] {
  return [
    "compile",
    ...arch === ownArchitecture() ? [] : ["--target", ARCHITECTURES[arch].triple],
    "--no-check",
    // All that there is to be found is in the bundle.
    "--no-config",
    "--no-lock",
    "--no-npm",
    "--no-remote",
    // The cache would be a file under /tmp with a name that anybody can guess and take.
    "--no-code-cache",
    `--v8-flags=${V8_FLAGS.join(",")}`,
    ...PERMISSIONS,
    ...[...workers, ...DATA].flatMap((path) => ["--include", path]),
    "--output",
    output,
    main,
  ];
}

/** Whatever lies beside the entry point gets into the binary easily: node_modules, a stray file. */
function checkEmbedded(said: string): void {
  const strays = embeddedFiles(said).filter((name) => !["bundle", "dist"].includes(name));
  if (strays.length > 0) throw new Error(`These do not belong in the binary: ${strays.join(", ")}`);
}

/**
 * The top level of the tree under "Embedded Files" that the compiler prints.
 *
 * @returns names of files and folders.
 */
export function embeddedFiles(said: string): string[] {
  const [, list = ""] = said.split(/^Embedded Files$/m);
  return list.split("\n").flatMap((line) =>
    /^[├└][─┬]+ (\S+)/.exec(line)?.[1]?.split("/")[0] ?? []
  );
}

function copyFolder(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) {
    Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

if (import.meta.main) {
  const usage = "usage: deno task compile [--target amd64|arm64] [OUTPUT]";
  try {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { target: { type: "string" } },
      allowPositionals: true,
    });
    const arch = values.target === undefined ? ownArchitecture() : architecture(values.target);
    if (positionals.length > 1) throw new RangeError("Cannot compile to more than one file");
    Deno.exit(await compile(positionals[0] ?? programPath(arch), arch));
  } catch (error) {
    const wrong = error instanceof RangeError || error instanceof TypeError;
    console.error(
      (error instanceof Error ? error.message : `${error}`) + (wrong ? `\n${usage}` : ""),
    );
    Deno.exit(wrong ? 2 : 1);
  }
}
