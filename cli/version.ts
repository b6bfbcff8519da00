/**
 * The version, for the command line.
 *
 * @module
 */

export { VERSION } from "../core/base/version.ts";
