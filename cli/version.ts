/**
 * The version, for the command line. Loads nothing: `knet --version` waits for it.
 *
 * @module
 */
import { VERSION } from "../core/base/version.ts";

export { VERSION };

/** What `knet --version` prints. */
export function versionText(json = false): string {
  return (json ? JSON.stringify({ version: VERSION }, undefined, 2) : `knet ${VERSION}`) + "\n";
}
