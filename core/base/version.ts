/**
 * The version of knet. Kept equal to that of deno.json by a test: Deno takes comments and trailing commas there, an
 * import of the file would not.
 *
 * @module
 */

/** What `knet --version` prints. */
export const VERSION = "0.1.0";
