/**
 * Where the store is, and how its URL is shown.
 *
 * @module
 */

/** Where the store is unless said otherwise. */
export const DEFAULT_STORE = "sqlite:/var/lib/knet/knet.db";

/** The URL without its password, for messages. */
export function redactUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/*[^/@:]*):.*@/i, "$1@")
    .replace(/([?&](?:password|sslpassword)=)[^&]*/gi, "$1…");
}
