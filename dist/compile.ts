/**
 * Makes `dist/knet` for this machine: `deno task compile`.
 *
 * Where Deno's download server is out of reach, the runtime that goes under the program comes from
 * `DENORT_BIN`, or else from `../shared/tools/denort` beside this checkout.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;

/** The version that a runtime given by DENORT_BIN belongs to; another compiler refuses it. */
const DENORT_VERSION = "2.4.2";

const LIBRARIES = ["libnl-3.so.200", "libnl-route-3.so.200", "libnl-genl-3.so.200"];

/** Where distributions keep the licence of libnl. */
const LICENCES = [
  "/usr/share/common-licenses/LGPL-2.1",
  "/usr/share/licenses/libnl3/COPYING",
];

/**
 * The narrowest permissions that work. Not granted: running programs, importing code, and the files
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
  "--no-prompt",
];

/**
 * For the agent, which works for a second and then waits for weeks: a small nursery, no memory for V8's
 * helper threads, and a collector that the program can call when the work is done. Together they keep
 * 60 MiB out of an agent with 5,000 peers.
 */
const V8_FLAGS = ["--max-semi-space-size=1", "--single-threaded", "--expose-gc"];

/** What the program loads by URL, which the compiler cannot see. */
const INCLUDES = [
  "core/store/sqlite_worker.ts",
  "core/overlay/udp/worker.ts",
  "dist/lib",
  "dist/NOTICE",
];

/** Packages of the import map that only tests use. */
const TEST_PACKAGES = ["fast-check"];

/** What of deno.lock this script reads. */
interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, { dependencies?: string[] }>;
}

/**
 * The lock without the packages that only tests use: the compiler carries whatever the lock names.
 *
 * @returns its text.
 */
export function pruneLock(text: string, unwanted: readonly string[] = TEST_PACKAGES): string {
  const lock = JSON.parse(text) as Lock;
  const keep = Object.entries(lock.specifiers).filter(([specifier]) =>
    !unwanted.some((name) => specifier.startsWith(`npm:${name}@`))
  );
  lock.specifiers = Object.fromEntries(keep);
  const wanted = keep.map(([specifier, version]) =>
    `${specifier.slice("npm:".length, specifier.lastIndexOf("@"))}@${version}`
  );
  const reached = new Set<string>();
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    // A dependency is written "name@version", or just "name" where the lock has one version of it.
    const key = next in lock.npm
      ? next
      : Object.keys(lock.npm).find((name) => name.startsWith(`${next}@`));
    if (key === undefined || reached.has(key)) continue;
    reached.add(key);
    wanted.push(...lock.npm[key]!.dependencies ?? []);
  }
  lock.npm = Object.fromEntries(Object.entries(lock.npm).filter(([key]) => reached.has(key)));
  return JSON.stringify(lock);
}

/** Copies this host's libnl to dist/lib, from where the program takes it on hosts that have none. */
function copyLibnl(): void {
  const folder = `${ROOT}dist/lib`;
  Deno.mkdirSync(folder, { recursive: true });
  const missing = LIBRARIES.filter((name) => !copyLibrary(name, `${folder}/${name}`));
  if (missing.length > 0) {
    fail(
      `Cannot carry ${missing.join(", ")}: not installed on this host`,
      "Install libnl-3-200 libnl-route-3-200 libnl-genl-3-200 (Debian, Ubuntu) or libnl3 (Fedora)",
    );
  }
  const licence = LICENCES.find(isFile);
  if (licence === undefined) fail("Cannot carry libnl: its licence is not on this host");
  Deno.copyFileSync(licence, `${folder}/LGPL-2.1`);
}

function copyLibrary(name: string, target: string): boolean {
  try {
    // The loader knows the distribution's folders; the mapping says which file it took.
    const library = Deno.dlopen(name, {});
    const stem = name.replace(/\.so\..*/, ".so");
    const source = Deno.readTextFileSync("/proc/self/maps").split("\n")
      .map((line) => line.slice(line.indexOf("/")))
      .find((file) => file.startsWith("/") && file.split("/").at(-1)!.startsWith(stem));
    library.close();
    if (source === undefined) return false;
    Deno.copyFileSync(source, target);
    Deno.chmodSync(target, 0o644);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return isFile(target);
  }
}

/** The compiler's command line, and the environment it needs. */
export function compiler(): { command: string[]; env: Record<string, string> } {
  // The compiler resolves imports by recursion, deeper than the default stack of its threads.
  const stack = { RUST_MIN_STACK: String(64 << 20) };
  const runtime = Deno.env.get("DENORT_BIN") || fetchRuntime();
  if (runtime === undefined) return { command: [Deno.execPath()], env: stack };
  const command = Deno.version.deno === DENORT_VERSION
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${DENORT_VERSION}`];
  return { command, env: { ...stack, DENORT_BIN: runtime } };
}

function fetchRuntime(): string | undefined {
  const tool = new URL("../../shared/tools/denort", import.meta.url).pathname;
  if (!isFile(tool)) return undefined;
  const output = new Deno.Command(tool, { stderr: "inherit" }).outputSync();
  return output.success ? new TextDecoder().decode(output.stdout).trim() : undefined;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function fail(message: string, remedy?: string): never {
  console.error(message + (remedy === undefined ? "" : `\n${remedy}`));
  Deno.exit(1);
}

/**
 * Compiles the program.
 *
 * @param output where the binary goes.
 * @returns the exit status of the compiler.
 */
export function compile(output: string): number {
  copyLibnl();
  const { command: [program, ...first], env } = compiler();
  const lock = Deno.makeTempFileSync({ suffix: ".lock" });
  try {
    Deno.writeTextFileSync(lock, pruneLock(Deno.readTextFileSync(`${ROOT}deno.lock`)));
    const args = [
      ...first,
      "compile",
      // Types are checked by `deno task ok`, with the newest compiler.
      "--no-check",
      "--lock",
      lock,
      // The cache would be a file under /tmp with a name that anybody can guess and take.
      "--no-code-cache",
      `--v8-flags=${V8_FLAGS.join(",")}`,
      ...PERMISSIONS,
      ...INCLUDES.flatMap((path) => ["--include", path]),
      "--output",
      output,
      "cli/main.ts",
    ];
    return new Deno.Command(program!, {
      args,
      env,
      cwd: ROOT,
      stdout: "inherit",
      stderr: "inherit",
    }).outputSync().code;
  } finally {
    Deno.removeSync(lock);
  }
}

if (import.meta.main) Deno.exit(compile(Deno.args[0] ?? "dist/knet"));
