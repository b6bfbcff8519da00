/**
 * The program `knet`.
 *
 * What answers `--version` is all that is loaded for it: start-up is paid on every command.
 *
 * @module
 */
import { versionText } from "./version.ts";

if (import.meta.main) {
  if (isPlugin()) {
    const { runPlugin } = await import("./cni.ts");
    Deno.exit(await runPlugin());
  }
  if (Deno.args[0] === "__netavark") {
    const { runNetavark } = await import("./netavark.ts");
    Deno.exit(await runNetavark(Deno.args.slice(1)));
  }
  if (!(Deno.args.length === 1 && /^(?:--version|-V)$/.test(Deno.args[0]!) && printed())) {
    const { dispatch } = await import("./dispatch.ts");
    const status = await dispatch(Deno.args);
    // Whatever still holds the event loop open (a pooled connection, a watch) has no part in the result.
    Deno.exit(status);
  }
}

/** Prints the version; false if that failed, which is for others to tell. */
function printed(): boolean {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(versionText()));
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether a container runtime calls: by the script that `knet install cni` places, or by a link to the program. A plugin has no
 * arguments, and is told by the environment what to do.
 */
function isPlugin(): boolean {
  if (Deno.args[0] === "__cni") return true;
  return Deno.args.length === 0 &&
    (Deno.env.get("CNI_COMMAND") !== undefined || Deno.execPath().endsWith("/knet-cni"));
}
