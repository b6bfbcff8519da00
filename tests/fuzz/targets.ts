/**
 * All fuzzers.
 *
 * @module
 */
import { probe, server } from "./http.ts";
import { ipvsProc, netlink } from "./netlink.ts";
import { config, rows, snapshot } from "./rows.ts";
import type { FuzzTarget } from "./target.ts";
import { checkText, ipvsadm, keepalived, listings, netConf, storeUrl, yaml } from "./texts.ts";
import { udpIn, udpOut } from "./udp.ts";

/** Everything that reads what comes from outside. */
export const TARGETS: readonly FuzzTarget[] = [
  netlink,
  ipvsProc,
  rows,
  config,
  snapshot,
  yaml,
  ipvsadm,
  keepalived,
  checkText,
  netConf,
  storeUrl,
  listings,
  server,
  probe,
  udpIn,
  udpOut,
];
