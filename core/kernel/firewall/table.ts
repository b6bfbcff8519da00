/**
 * What all parts of knet's nftables table share.
 *
 * @module
 */
import type { Family } from "../../cluster/lease.ts";

/** Name of knet's table. */
export const TABLE = "knet";

/** The keyword by which nftables names a family. */
export const familyWord = (family: Family): "ip" | "ip6" => family === 6 ? "ip6" : "ip";

/** Comment of the rules that knet keeps in foreign chains. */
export const COMMENT = "knet";
