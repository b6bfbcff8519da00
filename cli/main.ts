/**
 * The program `knet`.
 *
 * What answers `--version` is here, before anything else is loaded: start-up is paid on every command.
 *
 * @module
 */
import { VERSION } from "./version.ts";

/** Prints the version. */
export function printVersion(json = false): void {
  console.log(json ? JSON.stringify({ version: VERSION }) : `knet ${VERSION}`);
}

if (import.meta.main) {
  if (Deno.args.length === 1 && Deno.args[0] === "--version") {
    printVersion();
  } else {
    const { dispatch } = await import("./dispatch.ts");
    const status = await dispatch(Deno.args);
    // Whatever still holds the event loop open (a pooled connection, a watch) has no part in the result.
    Deno.exit(status);
  }
}
