/**
 * The program as a folder, where it cannot be compiled: Deno itself, the bundle, and a script that starts the one with the other.
 * That is what arm64 gets on machines that do not reach Deno's download server.
 *
 *     bin/knet          the script
 *     lib/knet/deno     the runtime
 *     lib/knet/bundle/  the program
 *     lib/knet/dist/    what it reads
 *
 * It may be put anywhere as a whole: the script looks from its own place.
 *
 * @module
 */
import { findDeno, type Runtime } from "./denort.ts";
import { type Architecture, ARCHITECTURES } from "./architectures.ts";

/**
 * Lays the folder out.
 *
 * @param parts a folder with `bundle/` and `dist/`.
 * @param flags of the runtime: permissions, V8's.
 * @returns the runtime, or undefined where none is known for the architecture.
 * @throws {Error} if the runtime cannot be had.
 */
export function layOut(
  arch: Architecture,
  parts: string,
  main: string,
  flags: readonly string[],
  output: string,
): Runtime | undefined {
  const runtime = findDeno(ARCHITECTURES[arch].deno);
  if (runtime === undefined) return undefined;
  Deno.mkdirSync(`${output}/bin`, { recursive: true });
  copyAll(`${parts}/bundle`, `${output}/lib/knet/bundle`);
  copyAll(`${parts}/dist`, `${output}/lib/knet/dist`);
  Deno.copyFileSync(runtime.path, `${output}/lib/knet/deno`);
  Deno.chmodSync(`${output}/lib/knet/deno`, 0o755);
  Deno.writeTextFileSync(`${output}/bin/knet`, launcher(main, flags));
  Deno.chmodSync(`${output}/bin/knet`, 0o755);
  return runtime;
}

/** The script. Deno's own cache, which nobody can make below a file, and its look for updates have nothing to do here. */
export function launcher(main: string, flags: readonly string[]): string {
  return `#!/bin/sh
# Starts knet: the runtime, with what a compiled program may do, and the bundle.
here=$(readlink -f "$0")
lib=\${here%/bin/*}/lib/knet
export KNET_LAUNCHER=$here DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1
exec "$lib/deno" run --quiet --cached-only --no-config --no-lock --no-npm --no-remote --no-code-cache \\
  --deny-import ${flags.join(" ")} \\
  "$lib/${main}" "$@"
`;
}

function copyAll(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyAll(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}
