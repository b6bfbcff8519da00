/**
 * The version, for the command line.
 *
 * @module
 */
import { VERSION } from "../core/base/version.ts";

export { VERSION };

/** Prints the version. */
export function printVersion(json = false): void {
  console.log(json ? JSON.stringify({ version: VERSION }) : `knet ${VERSION}`);
}
