/**
 * nerdctl, which no Debian has: built once, by Go, from the module proxy.
 *
 * @module
 */
import { exec } from "./exec.ts";
import { lacking } from "./runtime_room.ts";

/** The newest for Debian 12's containerd 1.6. */
const VERSION = "1.7.7";
/** Where it is kept; `KNET_TOOLS` names another folder. */
const FOLDER = Deno.env.get("KNET_TOOLS") ?? "/var/cache/knet-tools";
const MODULE = "github.com/containerd/nerdctl";

/**
 * Path of the program; it is built where there is none yet, which takes minutes.
 *
 * @throws {Error} if there is no Go, or it cannot build it.
 */
export async function nerdctlProgram(): Promise<string> {
  const program = `${FOLDER}/nerdctl-${VERSION}`;
  try {
    await Deno.stat(program);
    return program;
  } catch {
    // Built below.
  }
  const lacks = lacking("go");
  if (lacks !== undefined) throw new Error(lacks);
  const source = await Deno.makeTempDir({ prefix: "knet-nerdctl-" });
  try {
    // `go install MODULE@VERSION` would ask for all versions.
    await Deno.writeTextFile(
      `${source}/go.mod`,
      `module walk\n\ngo 1.21\n\nrequire ${MODULE} v${VERSION}\n`,
    );
    const half = `${program}.${Deno.pid}`;
    const flags = ["-mod=mod", "-trimpath", "-ldflags=-s", "-o", half];
    await exec(["go", "build", "-C", source, ...flags, `${MODULE}/cmd/nerdctl`], {
      env: { CGO_ENABLED: "0" },
      timeout: 900_000,
    });
    await Deno.rename(half, program);
  } finally {
    await Deno.remove(source, { recursive: true });
  }
  return program;
}
