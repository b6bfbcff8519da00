/**
 * Authorities' certificates in files of this host, which a service names: read with all rights, so no more than a plain file of a
 * reasonable size is opened, and none is waited for.
 *
 * @module
 */
import { readPlainFile } from "../../ffi/plain_file.ts";
import { monotonicClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";

/** Bytes; a distribution's bundle of all authorities has a quarter of it. */
const MOST_BYTES = 1024 * 1024;
/** Milliseconds for which a file is believed to be what it was. */
const FRESH = 5000;

/** A file's certificates in PEM, or why there are none. */
export type Authority = { readonly pem: string } | { readonly fault: string };

const known = new Map<string, { readonly read: number; readonly found: Authority }>();

function readFile(path: string): Authority {
  try {
    const pem = readPlainFile(path, MOST_BYTES);
    if (pem === undefined) return { fault: `this host has no file ${path}` };
    return pem.includes("-----BEGIN CERTIFICATE-----")
      ? { pem }
      : { fault: `no certificate is in ${path}` };
  } catch (error) {
    return { fault: messageOf(error) };
  }
}

/** Reads a file of certificates, at most every few seconds. */
export function readAuthority(path: string): Authority {
  const now = monotonicClock();
  let entry = known.get(path);
  if (entry === undefined || now - entry.read >= FRESH) {
    // Paths that no service names any more.
    for (const [other, { read }] of known) if (now - read >= FRESH) known.delete(other);
    known.set(path, entry = { read: now, found: readFile(path) });
  }
  return entry.found;
}
